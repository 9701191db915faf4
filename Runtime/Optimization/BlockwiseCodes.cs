using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Optimization;

/// <summary>Tensors as 8-bit codes of a dynamic map, each block of 256 entries scaled by its largest magnitude (arXiv:2110.02861).</summary>
/// <remarks>The map is dense near 0, so entries of very different size in one block keep their first digits. A code is that of the nearest value, the lower one in a tie; a block of zeros is all zeros.</remarks>
public sealed class BlockwiseCodes
{
    /// <summary>Entries that share a scale.</summary>
    public const int BlockSize = 256;

    private const int Decades = 7;

    private readonly Tensor map;
    private readonly Tensor midpoints;
    private readonly byte zeroCode;

    private BlockwiseCodes(bool signed)
    {
        float[] values = Values(signed);
        zeroCode = (byte)Array.IndexOf(values, 0f);
        map = tensor(values).DetachFromDisposeScope();
        midpoints = tensor(values.Zip(values.Skip(1), (a, b) => (float)(((double)a + b) / 2)).ToArray()).DetachFromDisposeScope();
    }

    /// <summary>Codes of values of both signs.</summary>
    public static BlockwiseCodes Signed { get; } = new(true);

    /// <summary>Codes of values that are not negative.</summary>
    public static BlockwiseCodes Unsigned { get; } = new(false);

    /// <summary>The 256 values that codes stand for [256] float32, ascending, at most 1 in magnitude.</summary>
    public Tensor Map => map;

    /// <summary>Codes a tensor.</summary>
    /// <param name="values">Any shape, floating point, finite.</param>
    /// <returns>Codes [entries] uint8 and each block's largest magnitude [blocks] float32; the caller's dispose scope owns them.</returns>
    public (Tensor Codes, Tensor Scales) Encode(Tensor values)
    {
        using var scope = NewDisposeScope();
        long count = values.numel();
        long missing = (BlockSize - (count % BlockSize)) % BlockSize;
        var blocks = nn.functional.pad(values.to(float32).flatten(), [0, missing]).reshape(-1, BlockSize);
        var scales = blocks.abs().amax([1]);
        var safe = where(scales > 0, scales, ones_like(scales));
        var codes = bucketize((blocks / safe.unsqueeze(1)).contiguous(), midpoints.to(values.device)).to(uint8);
        codes = where(scales.unsqueeze(1) > 0, codes, full_like(codes, zeroCode));
        return (codes.flatten().narrow(0, 0, count).clone().MoveToOuterDisposeScope(), scales.MoveToOuterDisposeScope());
    }

    /// <summary>The values of codes [entries] float32; the caller's dispose scope owns them.</summary>
    public Tensor Decode(Tensor codes, Tensor scales)
    {
        using var scope = NewDisposeScope();
        long missing = (BlockSize - (codes.numel() % BlockSize)) % BlockSize;
        var values = map.to(codes.device).index_select(0, nn.functional.pad(codes.to(int64), [0, missing])).reshape(-1, BlockSize) * scales.unsqueeze(1);
        return values.flatten().narrow(0, 0, codes.numel()).MoveToOuterDisposeScope();
    }

    /// <summary>A tensor of a memory, decoded in the shape of another; zeros where it is not there.</summary>
    internal Tensor Read(UpdateMemory memory, string name, Tensor like) => memory.Has(name)
        ? Decode(memory.Tensors[name], memory.Tensors[name + "Scales"]).reshape(like.shape)
        : zeros_like(like, requires_grad: false);

    /// <summary>Keeps a tensor in a memory as codes and scales.</summary>
    internal void Write(UpdateMemory memory, string name, Tensor values)
    {
        var (codes, scales) = Encode(values);
        memory.Set(name, codes);
        memory.Set(name + "Scales", scales);
    }

    /// <summary>For each decade 10⁰ … 10⁻⁶ the midpoints of equal parts of [0.1, 1], their number doubling from the smallest decade on; with the negatives where signed, 0 and 1.</summary>
    private static float[] Values(bool signed)
    {
        var values = new List<float> { 0, 1 };
        for (int decade = 0; decade < Decades; decade++)
        {
            int parts = 1 << (signed ? decade : decade + 1);
            for (int part = 0; part < parts; part++)
            {
                double middle = 0.1 + (0.9 * (part + 0.5) / parts);
                float value = (float)(middle * Math.Pow(10, decade - (Decades - 1)));
                values.Add(value);
                if (signed)
                {
                    values.Add(-value);
                }
            }
        }

        return [.. values.Order()];
    }
}
