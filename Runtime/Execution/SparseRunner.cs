using System.Runtime.InteropServices;
using PipelineDsl.Runtime.Weights;

using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Execution;

/// <summary>A sparse matrix: a loop over its entries for a few tokens, the library's product for many.</summary>
internal sealed class SparseRunner : WeightRunner
{
    private const int FewTokens = 8;

    private readonly long rows;
    private readonly long columns;

    /// <param name="form">The entries, copied.</param>
    public SparseRunner(Sparse form)
        : base(nameof(SparseRunner))
    {
        using var scope = NewDisposeScope();
        (rows, columns) = (form.Rows, form.Columns);
        Keep("offsets", form.Offsets.to(int32));
        Keep("indices", form.Indices.to(int32));
        Keep("values", form.Values.to(float32));
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var inputs = x.reshape(-1, columns).to(float32);
        bool gradients = is_grad_enabled() && x.requires_grad;
        var y = inputs.device.type == DeviceType.CPU && inputs.shape[0] <= FewTokens && !gradients ? Loop(inputs.contiguous()) : Matrix().mm(inputs.mT.contiguous()).mT;
        return y.to(x.dtype).reshape([.. x.shape[..^1], rows]).MoveToOuterDisposeScope();
    }

    private Tensor Loop(Tensor inputs)
    {
        var outputs = empty(inputs.shape[0], rows, dtype: float32);
        var x = MemoryMarshal.Cast<byte, float>(inputs.bytes);
        var y = MemoryMarshal.Cast<byte, float>(outputs.bytes);
        var offsets = MemoryMarshal.Cast<byte, int>(get_buffer("offsets")!.bytes);
        var indices = get_buffer("indices")!.numel() == 0 ? [] : MemoryMarshal.Cast<byte, int>(get_buffer("indices")!.bytes);
        var values = get_buffer("values")!.numel() == 0 ? [] : MemoryMarshal.Cast<byte, float>(get_buffer("values")!.bytes);
        for (int token = 0; token < inputs.shape[0]; token++)
        {
            var line = x.Slice(token * (int)columns, (int)columns);
            var target = y.Slice(token * (int)rows, (int)rows);
            for (int row = 0; row < target.Length; row++)
            {
                float sum = 0;
                for (int i = offsets[row]; i < offsets[row + 1]; i++)
                {
                    sum += values[i] * line[indices[i]];
                }

                target[row] = sum;
            }
        }

        return outputs;
    }

    private Tensor Matrix()
    {
        var offsets = get_buffer("offsets")!;
        var lines = arange(rows, dtype: int64, device: offsets.device).repeat_interleave(offsets.diff().to(int64));
        return sparse_coo_tensor(stack([lines, get_buffer("indices")!.to(int64)]), get_buffer("values")!, [rows, columns]);
    }
}
