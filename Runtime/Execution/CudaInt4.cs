using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Execution;

/// <summary>A uniform 4-bit matrix in the tiles of the tensor library's CUDA operator, for bfloat16 inputs; scales and zero points are rounded to bfloat16, as dense weights of such a model are.</summary>
/// <remarks>The operator is not exposed by TorchSharp; TorchScript reaches it.</remarks>
internal sealed class CudaInt4 : IDisposable
{
    private const int InnerTiles = 8;
    private const int Middle = 8;

    private static readonly Lazy<jit.CompilationUnit> Script = new(() => jit.compile(
        """
        def pack(codes, tiles: int):
            return torch._convert_weight_to_int4pack(codes, tiles)

        def multiply(x, packed, group: int, scales):
            return torch._weight_int4pack_mm(x, packed, group, scales)

        """));

    private readonly Tensor packed;
    private readonly Tensor scales;
    private readonly long group;

    /// <summary>Packs a matrix on its device.</summary>
    /// <param name="codes">[rows, columns] integers from 0 to 15.</param>
    /// <param name="lowest">What the code 0 stands for.</param>
    /// <param name="perGroup">Scales [rows, groups] float32.</param>
    /// <param name="offsets">[rows, groups] float32, or null.</param>
    /// <param name="group">Columns that share a scale.</param>
    public CudaInt4(Tensor codes, int lowest, Tensor perGroup, Tensor? offsets, long group)
    {
        using var scope = NewDisposeScope();
        this.group = group;
        var halves = codes.to(uint8).reshape(codes.shape[0], -1, 2);
        var bytes = halves.select(2, 0).bitwise_left_shift(tensor(4, dtype: uint8, device: codes.device)).bitwise_or(halves.select(2, 1)).contiguous();
        packed = ((Tensor)Script.Value.invoke("pack", bytes, InnerTiles)).DetachFromDisposeScope();

        // The operator computes (code − 8) · scale + zero.
        var zeros = perGroup * (lowest + Middle);
        zeros = offsets is null ? zeros : zeros + offsets;
        scales = stack([perGroup.mT, zeros.mT], 2).to(bfloat16).contiguous().DetachFromDisposeScope();
    }

    /// <summary>Where the matrix is.</summary>
    public Device Device => packed.device;

    /// <summary>Whether the operator takes such a matrix.</summary>
    public static bool Fits(long rows, long columns, long group) => rows % 8 == 0 && columns % (InnerTiles * 16) == 0 && group is 32 or 64 or 128 or 256 && columns % group == 0;

    /// <summary>x Wᵀ [tokens, rows] for x [tokens, columns] bfloat16 on the device.</summary>
    public Tensor Multiply(Tensor x) => (Tensor)Script.Value.invoke("multiply", x.contiguous(), packed, group, scales);

    /// <inheritdoc/>
    public void Dispose()
    {
        packed.Dispose();
        scales.Dispose();
    }
}
