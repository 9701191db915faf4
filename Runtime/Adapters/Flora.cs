using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>A change of a linear weight or a kernel as a small core with one thin factor for each of its axes (FLoRA, arXiv:2405.14739).</summary>
public sealed record Flora : AdapterMethod
{
    /// <summary>The rank of each axis: inputs, outputs, then those of the kernel.</summary>
    public IReadOnlyList<int> Ranks { get; init; } = [8, 8];

    /// <summary>s, what multiplies the change; not divided by a rank.</summary>
    public double Scaling { get; init; } = 1;

    private protected override Adapter Begin(Tensor weight, LayerOperation operation, Generator generator)
    {
        if (operation == LayerOperation.Lookup)
        {
            throw new NotSupportedException("Flora adapts linear layers and convolutions only");
        }

        long[] sizes = [weight.shape[1], weight.shape[0], .. weight.shape[2..]];
        if (Ranks.Count != sizes.Length)
        {
            throw new ArgumentException($"{Ranks.Count} ranks for a weight of {sizes.Length} axes; give one an axis: inputs, outputs, then the kernel's");
        }

        for (int axis = 0; axis < sizes.Length; axis++)
        {
            RequireRank(Ranks[axis], sizes[axis], $"rank of axis {axis}");
        }

        Tensor[] factors = [.. sizes.Zip(Ranks, (size, rank) => Normal([size, rank], 1 / Math.Sqrt(2.0 * rank), weight, generator))];
        return new FloraAdapter(operation, weight, Zero([.. Ranks.Select(rank => (long)rank)], weight), factors, Scaling);
    }
}
