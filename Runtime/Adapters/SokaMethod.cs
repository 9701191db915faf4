using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>Starts <see cref="Soka"/>.</summary>
public sealed class SokaMethod : AdapterMethod<Soka>
{
    private protected override Adapter Begin(Soka step, Tensor weight, LayerOperation operation, Generator generator)
    {
        var (rows, columns) = (weight.shape[0], weight.shape[1]);
        var (leftRows, leftColumns) = step.LeftSize(ShapeOf(weight, operation));
        var terms = new KroneckerTerms(leftRows, leftColumns, rows / leftRows, columns / leftColumns);
        var (values, left, right) = terms.Decompose(weight.to(float64));
        int rank = SpectrumRank.Of(step, [.. values.data<double>()]);
        var a = left.narrow(0, 0, rank).div(Math.Sqrt(step.Scaling)).to(TrainedType(weight), copy: true);
        var b = right.narrow(0, 0, rank).div(Math.Sqrt(step.Scaling)).to(TrainedType(weight), copy: true);
        return new SokaAdapter((Wide(weight) - terms.Sum(a, b).mul(step.Scaling)).to(weight.dtype), terms, a, b, step.Scaling);
    }
}
