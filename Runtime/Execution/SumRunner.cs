using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Execution;

/// <summary>W = A + B + …: the parts read the same input.</summary>
internal sealed class SumRunner : WeightRunner
{
    private readonly WeightRunner[] parts;

    public SumRunner(IEnumerable<WeightRunner> parts)
        : base(nameof(SumRunner)) => this.parts = [.. parts.Select((part, i) => Keep($"part_{i}", part))];

    /// <inheritdoc/>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        return parts.Select(part => part.forward(x)).Aggregate((sum, part) => sum + part).MoveToOuterDisposeScope();
    }
}
