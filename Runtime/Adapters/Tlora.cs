using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>Transforms a linear layer's inputs by a small tensor ring and adds a small residual: W T + s Δ (TLoRA, arXiv:2501.08727).</summary>
public sealed record Tlora : AdapterMethod
{
    /// <summary>The rank R of the residual.</summary>
    public int Rank { get; init; } = 4;

    /// <summary>The ring rank of the transform; 0 leaves the transform out.</summary>
    public int TransformRank { get; init; } = 1;

    /// <summary>The form of the residual.</summary>
    public TloraResidual Residual { get; init; }

    /// <summary>The numerator of the scaling.</summary>
    public double Alpha { get; init; } = 1;

    /// <summary>Whether s = alpha / √R; else alpha / R.</summary>
    public bool RankStabilized { get; init; } = true;

    /// <summary>Factors of the inputs, slowest first; null takes three near the cube root.</summary>
    public IReadOnlyList<int>? InputShape { get; init; }

    /// <summary>Factors of the outputs, slowest first; null takes three near the cube root.</summary>
    public IReadOnlyList<int>? OutputShape { get; init; }

    /// <summary>s.</summary>
    public double Scaling => Alpha / (RankStabilized ? Math.Sqrt(Rank) : Rank);

    private protected override Adapter Begin(Tensor weight, LayerOperation operation, Generator generator)
    {
        RequireLinear(operation);
        var (units, inputs) = (weight.shape[0], weight.shape[1]);
        RequireRank(Rank, Math.Min(units, inputs), "rank");
        if (TransformRank < 0)
        {
            throw new ArgumentException($"a transform rank of {TransformRank} is below 0");
        }

        var inputShape = Shape(InputShape, inputs, "inputs");
        var outputShape = Shape(OutputShape, units, "outputs");
        List<Tensor> transform = TransformRank == 0 ? [] : [.. RingMatrix.Identity(inputShape, TransformRank).Select(core => core.to(TrainedType(weight), weight.device))];
        return Residual switch
        {
            TloraResidual.Lora => new TloraAdapter(this, weight, transform, [Normal([Rank, inputs], 1 / Math.Sqrt(3.0 * inputs), weight, generator)], [Zero([units, Rank], weight)]),
            TloraResidual.RingVector => new TloraAdapter(
                this,
                weight,
                transform,
                [.. inputShape.Select(size => Normal([size, Rank, Rank], 1 / Math.Sqrt(size), weight, generator))],
                [.. outputShape.Select((size, place) => place == 0 ? Zero([size, Rank, Rank], weight) : Normal([size, Rank, Rank], Math.Sqrt(size) / (Rank * Rank), weight, generator))]),
            _ when inputShape.Count != outputShape.Count => throw new ArgumentException($"a ring matrix needs as many factors of the inputs ({inputShape.Count}) as of the outputs ({outputShape.Count}); name both shapes"),
            _ => new TloraAdapter(
                this,
                weight,
                transform,
                [],
                [.. outputShape.Zip(inputShape).Select((size, place) => place == 0
                    ? Zero([size.First, size.Second, Rank, Rank], weight)
                    : Normal([size.First, size.Second, Rank, Rank], 1 / Math.Sqrt(3.0 * size.Second * Rank * Rank), weight, generator))]),
        };
    }

    private static IReadOnlyList<int> Shape(IReadOnlyList<int>? wanted, long size, string what)
    {
        if (wanted is null)
        {
            return RingMatrix.Factors(checked((int)size));
        }

        return wanted.Count > 0 && wanted.All(factor => factor > 0) && wanted.Aggregate(1L, (product, factor) => product * factor) == size
            ? wanted
            : throw new ArgumentException($"the factors {string.Join(" · ", wanted)} do not make the {size} {what}");
    }
}

/// <summary>The form of the residual of <see cref="Tlora"/>.</summary>
public enum TloraResidual
{
    /// <summary>A product of two thin matrices.</summary>
    Lora,

    /// <summary>A tensor ring with one core for each factor of the outputs and of the inputs.</summary>
    RingVector,

    /// <summary>A tensor ring with one core for each pair of factors.</summary>
    RingMatrix,
}
