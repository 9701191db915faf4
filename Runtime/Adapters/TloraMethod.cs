using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>Starts <see cref="Tlora"/>.</summary>
public sealed class TloraMethod : AdapterMethod<Tlora>
{
    private protected override Adapter Begin(Tlora step, Tensor weight, LayerOperation operation, Generator generator)
    {
        var (units, inputs, rank) = (weight.shape[0], weight.shape[1], step.Rank);
        var layer = ShapeOf(weight, operation);
        var (inputFactors, outputFactors) = (step.InputFactors(layer), step.OutputFactors(layer));
        List<Tensor> transform = step.TransformRank == 0 ? [] : [.. RingMatrix.Identity(inputFactors, step.TransformRank).Select(core => core.to(TrainedType(weight), weight.device))];
        return step.Residual switch
        {
            TloraResidual.Lora => new TloraAdapter(step, weight, transform, [Normal([rank, inputs], 1 / Math.Sqrt(3.0 * inputs), weight, generator)], [Zero([units, rank], weight)]),
            TloraResidual.RingVector => new TloraAdapter(
                step,
                weight,
                transform,
                [.. inputFactors.Select(size => Normal([size, rank, rank], 1 / Math.Sqrt(size), weight, generator))],
                [.. outputFactors.Select((size, place) => place == 0 ? Zero([size, rank, rank], weight) : Normal([size, rank, rank], Math.Sqrt(size) / (rank * rank), weight, generator))]),
            _ => new TloraAdapter(
                step,
                weight,
                transform,
                [],
                [.. outputFactors.Zip(inputFactors).Select((size, place) => place == 0
                    ? Zero([size.First, size.Second, rank, rank], weight)
                    : Normal([size.First, size.Second, rank, rank], 1 / Math.Sqrt(3.0 * size.Second * rank * rank), weight, generator))]),
        };
    }
}
