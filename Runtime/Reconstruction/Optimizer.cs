using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>Moves the trained tensors of some weights by their gradients.</summary>
internal sealed class Optimizer : IDisposable
{
    private readonly List<(Tensor Value, UpdateRule Rule)> entries;
    private readonly Dictionary<int, UpdateMemory> memories = [];

    public Optimizer(IEnumerable<TrainableWeight> weights) =>
        entries = [.. weights.SelectMany(weight => weight.Groups).SelectMany(group => group.Tensors.Select(tensor => (tensor, group.Rule)))];

    /// <summary>Forgets the gradients of the last step.</summary>
    public void Reset()
    {
        foreach (var (value, _) in entries)
        {
            using var gradient = value.grad;
            gradient?.zero_();
        }
    }

    /// <summary>Moves every tensor that has a gradient.</summary>
    /// <param name="schedule">What each rule's learning rate is multiplied by.</param>
    public void Step(double schedule)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        for (int i = 0; i < entries.Count; i++)
        {
            var (value, rule) = entries[i];
            if (value.grad is not { } gradient)
            {
                continue;
            }

            if (!memories.TryGetValue(i, out var memory))
            {
                memories[i] = memory = new(value);
            }

            var pull = rule.WeightDecay == 0 ? gradient : gradient.add(value, alpha: rule.WeightDecay);
            rule.Apply(value, pull, memory, rule.LearningRate * schedule);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var memory in memories.Values)
        {
            memory.Dispose();
        }
    }
}
