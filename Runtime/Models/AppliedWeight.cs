using PipelineDsl.Runtime.Execution;
using PipelineDsl.Runtime.Weights;
using TorchSharp.Modules;

namespace PipelineDsl.Runtime.Models;

/// <summary>A weight that is no matrix, such as one with rounded inputs, in a linear layer whose own weight is zero, until it is disposed: a hook adds what it computes.</summary>
internal sealed class AppliedWeight : IDisposable
{
    private readonly WeightRunner runner;
    private readonly Action removeHook;

    /// <summary>Puts a weight beside a layer's own. What can be dense becomes so once, instead of at each call.</summary>
    /// <param name="linear">The layer.</param>
    /// <param name="weight">The weight, copied; still the caller's.</param>
    public AppliedWeight(Linear linear, Expression weight)
    {
        runner = RunnerFactory.Make(weight, packed: false);
        removeHook = linear.register_forward_hook((_, x, y) =>
        {
            using var added = runner.Run(x);
            return y + added;
        }).remove;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        removeHook();
        runner.Dispose();
    }
}
