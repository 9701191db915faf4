using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Execution;

/// <summary>y = Q(x) W'ᵀ: inputs are rounded as they come (W4A4, W4A8).</summary>
internal sealed class RoundedInputsRunner : WeightRunner
{
    private readonly DynamicGrid inputs;
    private readonly WeightRunner inner;

    /// <param name="form">How inputs are rounded.</param>
    /// <param name="inner">W'.</param>
    public RoundedInputsRunner(QuantizedInputs form, WeightRunner inner)
        : base(nameof(RoundedInputsRunner))
    {
        inputs = form.Inputs;
        this.inner = Keep("inner", inner);
        if (form.Offset is not null)
        {
            Keep("offset", form.Offset);
        }
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var offset = has_buffer("offset") ? get_buffer("offset")!.to(x.dtype) : null;
        return inner.forward(offset is null ? inputs.Round(x) : inputs.Round(x + offset) - offset).MoveToOuterDisposeScope();
    }
}
