using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Optimization;

/// <summary>Moves tensors by their gradients, each by its rule.</summary>
/// <param name="groups">The tensors, each in one group; still the caller's.</param>
public sealed class Optimizer(IEnumerable<TrainableGroup> groups) : IDisposable
{
    private readonly List<(Tensor Value, UpdateRule Rule)> entries = [.. groups.SelectMany(group => group.Tensors.Select(tensor => (tensor, group.Rule)))];
    private readonly Dictionary<int, UpdateMemory> memories = [];

    /// <summary>Bytes of all that the steps so far left for the next.</summary>
    public long StateBytes => memories.Values.Sum(memory => memory.Bytes);

    /// <summary>Forgets the gradients of the last step.</summary>
    public void Reset()
    {
        using var scope = NewDisposeScope();
        foreach (var (value, _) in entries)
        {
            value.grad?.zero_();
        }
    }

    /// <summary>Moves every tensor that has a gradient; one without is skipped whole, decay and count included.</summary>
    /// <param name="schedule">What each rule's learning rate is multiplied by.</param>
    public void Step(double schedule)
    {
        using var noGradients = no_grad();
        for (int i = 0; i < entries.Count; i++)
        {
            using var scope = NewDisposeScope();
            var (value, rule) = entries[i];
            if (value.grad is not { } gradient)
            {
                continue;
            }

            if (!memories.TryGetValue(i, out var memory))
            {
                memories[i] = memory = new();
            }

            memory.Steps++;
            rule.Apply(value, gradient, memory, rule.LearningRate * schedule);
        }
    }

    /// <summary>Scales all gradients together so that their common norm is at most a limit (Pascanu et al., arXiv:1211.5063): g · min(1, limit / (norm + 1e-6)).</summary>
    /// <param name="limit">The largest norm.</param>
    /// <returns>The norm before; where it is not finite, gradients stay as they are and the step should be left out.</returns>
    public double Clip(double limit)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var gradients = entries.Select(entry => entry.Value.grad).OfType<Tensor>().ToList();
        double norm = Math.Sqrt(gradients.Sum(gradient => gradient.to(gradient.dtype == float64 ? float64 : float32).square().sum().to(float64).item<double>()));
        double factor = limit / (norm + 1e-6);
        if (double.IsFinite(norm) && factor < 1)
        {
            gradients.ForEach(gradient => gradient.mul_(factor));
        }

        return norm;
    }

    /// <summary>The state after the steps so far: counts [1] int64 and the rules' tensors, by place and name (<c>3.mean</c>). Still owned here.</summary>
    public IReadOnlyDictionary<string, Tensor> State()
    {
        var state = new SortedDictionary<string, Tensor>(StringComparer.Ordinal);
        foreach (var (place, memory) in memories)
        {
            state[$"{place}.{StepsName}"] = tensor(new long[] { memory.Steps });
            foreach (var (name, tensor) in memory.Tensors)
            {
                state[$"{place}.{name}"] = tensor;
            }
        }

        return state;
    }

    /// <summary>Goes on from a state, bit for bit.</summary>
    /// <param name="state">What <see cref="State"/> gave for the same groups; copied.</param>
    /// <exception cref="InvalidDataException">It belongs to other groups.</exception>
    public void Restore(IReadOnlyDictionary<string, Tensor> state)
    {
        Forget();
        foreach (var (key, tensor) in state)
        {
            string[] parts = key.Split('.', 2);
            if (parts.Length != 2 || !int.TryParse(parts[0], out int place) || place < 0 || place >= entries.Count)
            {
                throw new InvalidDataException($"the optimizer state has '{key}', and there are {entries.Count} tensors");
            }

            if (!memories.TryGetValue(place, out var memory))
            {
                memories[place] = memory = new();
            }

            if (parts[1] == StepsName)
            {
                memory.Steps = checked((int)tensor.sum().item<long>());
            }
            else
            {
                memory.Set(parts[1], tensor.clone());
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Forget();

    private const string StepsName = "steps";

    private void Forget()
    {
        foreach (var memory in memories.Values)
        {
            memory.Dispose();
        }

        memories.Clear();
    }
}
