using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Execution;

/// <summary>A dense matrix.</summary>
internal sealed class DenseRunner : WeightRunner
{
    /// <param name="matrix">W [rows, columns], copied.</param>
    public DenseRunner(Tensor matrix)
        : base(nameof(DenseRunner)) => Keep("matrix", matrix);

    /// <inheritdoc/>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        return nn.functional.linear(x, get_buffer("matrix")!.to(x.dtype)).MoveToOuterDisposeScope();
    }
}
