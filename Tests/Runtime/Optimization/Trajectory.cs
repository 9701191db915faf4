using PipelineDsl.Runtime.Optimization;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Optimization;

/// <summary>Runs a rule on given gradients, as the trainer does.</summary>
internal static class Trajectory
{
    /// <summary>The tensor after each step [steps, …].</summary>
    /// <param name="rule">The rule.</param>
    /// <param name="start">The tensor before.</param>
    /// <param name="gradients">[steps, …].</param>
    /// <param name="schedule">The factor of each step's rate, from step 0; 1 unless given.</param>
    public static Tensor Of(UpdateRule rule, Tensor start, Tensor gradients, Func<int, double>? schedule = null) => Run(rule, start, gradients, schedule).Values;

    /// <summary>The same, and the state at the end.</summary>
    public static (Tensor Values, IReadOnlyDictionary<string, Tensor> State) Run(UpdateRule rule, Tensor start, Tensor gradients, Func<int, double>? schedule = null)
    {
        using var optimizer = new Optimizer([new(rule, [Leaf(start, out var value)])]);
        var values = new List<Tensor>();
        for (int step = 0; step < gradients.shape[0]; step++)
        {
            value.grad = gradients[step].clone();
            optimizer.Step(schedule?.Invoke(step) ?? 1);
            values.Add(value.detach().clone());
        }

        return (stack(values), optimizer.State().ToDictionary(item => item.Key, item => item.Value.clone()));
    }

    /// <summary>One step of a fresh rule.</summary>
    public static Tensor Once(UpdateRule rule, Tensor start, Tensor gradient) => Of(rule, start, gradient.unsqueeze(0))[0];

    /// <summary>A leaf that requires gradients.</summary>
    public static Tensor Leaf(Tensor start, out Tensor leaf) => leaf = start.detach().clone().requires_grad_(true);
}
