using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>A run's model with some number of blocks in its stacked layers; gets its original weights back in the end.</summary>
/// <param name="run">The prepared recipe.</param>
/// <param name="stacks">The stacked layers.</param>
internal sealed class StackedModel(PreparedRun run, IReadOnlyList<SolvedUnit> stacks) : IDisposable
{
    private int level;

    /// <summary>Puts so many blocks into every layer, all of them where there are fewer, and one more into a chosen one until the result is disposed.</summary>
    /// <param name="wanted">Blocks of every layer.</param>
    /// <param name="raised">The layer that gets one more, or null.</param>
    public IDisposable? Set(int wanted, int? raised)
    {
        if (level != wanted)
        {
            for (int i = 0; i < stacks.Count; i++)
            {
                Put(i, Math.Min(wanted, Stack.Blocks(stacks[i].Result.Weight).Count));
            }

            level = wanted;
        }

        return raised is { } layer ? new Raised(this, layer) : null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (level == 0)
        {
            return;
        }

        run.Model.to(CPU);
        using var noGradients = no_grad();
        foreach (var stack in stacks)
        {
            using var original = run.Weights.Read(stack.Unit.Layer.WeightName);
            stack.Unit.Layer.Weight.copy_(original);
        }
    }

    private void Put(int layer, int count)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var weight = Stack.Part(stacks[layer].Result.Weight, count);
        stacks[layer].Unit.Layer.Weight.copy_(weight.Materialize());
    }

    private sealed class Raised : IDisposable
    {
        private readonly StackedModel model;
        private readonly int layer;

        public Raised(StackedModel model, int layer)
        {
            this.model = model;
            this.layer = layer;
            model.Put(layer, model.level + 1);
        }

        public void Dispose() => model.Put(layer, model.level);
    }
}
