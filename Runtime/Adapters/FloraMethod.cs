using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>Starts <see cref="Flora"/>.</summary>
public sealed class FloraMethod : AdapterMethod<Flora>
{
    private protected override Adapter Begin(Flora step, Tensor weight, LayerOperation operation, Generator generator)
    {
        long[] sizes = [weight.shape[1], weight.shape[0], .. weight.shape[2..]];
        if (step.CheckRanks(sizes) is { } problem)
        {
            throw new ArgumentException(problem.Message);
        }

        var ranks = step.RanksOf(sizes);
        Tensor[] factors = [.. sizes.Zip(ranks, (size, rank) => Normal([size, rank], 1 / Math.Sqrt(2.0 * rank), weight, generator))];
        return new FloraAdapter(operation, weight, Zero([.. ranks.Select(rank => (long)rank)], weight), factors, step.Scaling);
    }
}
