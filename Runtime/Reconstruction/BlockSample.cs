using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>One call of a block: what it is given, and what it should answer.</summary>
/// <param name="Arguments">The arguments, from the compressed part of the model before the block.</param>
/// <param name="Targets">The floating-point tensors of the original block's result, on the arguments that its teacher gets.</param>
internal sealed record BlockSample(object?[] Arguments, IReadOnlyList<Tensor> Targets) : IDisposable
{
    /// <summary>The floating-point tensors of a result.</summary>
    public static IEnumerable<Tensor> OutputsOf(object? result) => CallValues.TensorsOf(result).Where(tensor => tensor.is_floating_point());

    /// <summary>Copies of them that outlive the dispose scope.</summary>
    public static IReadOnlyList<Tensor> KeptOutputsOf(object? result) => [.. OutputsOf(result).Select(tensor => tensor.clone().DetachFromDisposeScope())];

    /// <summary>Σ (y − t)² over all outputs, and how many there are.</summary>
    public (Tensor Sum, long Count) SquaredError(object? result)
    {
        var terms = OutputsOf(result).Zip(Targets, (output, target) => (output - target).square().sum()).ToList();
        return (terms.Aggregate((a, b) => a + b), Targets.Sum(target => target.numel()));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in CallValues.TensorsOf(Arguments).Concat(Targets))
        {
            tensor.Dispose();
        }
    }
}
