using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Execution;

/// <summary>W = factor · diag(r) W' diag(c): inputs are scaled, then outputs.</summary>
internal sealed class ScaledRunner : WeightRunner
{
    private readonly WeightRunner inner;
    private readonly double factor;

    /// <param name="scaled">The scales.</param>
    /// <param name="inner">W'.</param>
    public ScaledRunner(Scaled scaled, WeightRunner inner)
        : base(nameof(ScaledRunner))
    {
        this.inner = Keep("inner", inner);
        factor = scaled.Factor;
        if (scaled.RowScales is not null)
        {
            Keep("rows", scaled.RowScales);
        }

        if (scaled.ColumnScales is not null)
        {
            Keep("columns", scaled.ColumnScales);
        }
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var y = inner.forward(has_buffer("columns") ? x * get_buffer("columns")!.to(x.dtype) : x);
        y = has_buffer("rows") ? y * get_buffer("rows")!.to(x.dtype) : y;
        return (factor == 1 ? y : y * factor).MoveToOuterDisposeScope();
    }
}
