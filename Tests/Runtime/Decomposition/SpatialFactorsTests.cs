using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Decomposition;

public sealed class SpatialFactorsTests
{
    private static readonly LayerShape Shape = new(LayerKinds.Conv2d, 9, 6 * 3 * 5) { Kernel = new(3, 5, 1) };

    [Theory]
    [InlineData(4)]
    [InlineData(18)]
    public void The_error_is_the_tail_of_the_spectrum_of_the_unfolded_kernel(int rank)
    {
        using var scope = NewDisposeScope();
        var kernel = LayerProblems.Weight(Shape.Rows, Shape.Columns);
        var solution = Solve(kernel, rank);

        // [out, in, y, x] entry by entry to [(out, x), (in, y)].
        var unfolded = empty(9 * 5, 6 * 3, dtype: float64);
        for (int y = 0; y < 3; y++)
        {
            for (int x = 0; x < 5; x++)
            {
                unfolded[TensorIndex.Slice(x, null, 5), TensorIndex.Slice(y, null, 3)] = kernel.reshape(9, 6, 3, 5)[TensorIndex.Ellipsis, y, x];
            }
        }

        double[] values = linalg.svdvals(unfolded).data<double>().ToArray();
        double tail = values.Skip(rank).Sum(value => value * value);
        (solution.Weight.Materialize() - kernel).square().sum().item<double>().ShouldBe(tail, 1e-9);
        solution.Facts["predictedLoss"].ShouldBe(tail, 1e-9);
        solution.Spectrum.ShouldBe(values, 1e-9);
    }

    [Fact]
    public void Bytes_are_those_that_the_step_predicts()
    {
        using var scope = NewDisposeScope();
        var step = new Decompose { Rank = 4, ConvForm = ConvForm.SpatialWise };
        Solve(LayerProblems.Weight(Shape.Rows, Shape.Columns).to(float32), 4).Weight.Bytes.ShouldBe(step.Predict(Shape, []).Sum(cost => cost.Bytes));
    }

    private static LayerSolution Solve(Tensor kernel, int rank)
    {
        var step = new Decompose { Rank = rank, ConvForm = ConvForm.SpatialWise };
        return SolverCatalog.For(step).Solve(new("conv", new Dense(kernel.alias()), null, LayerStatistics.None, 0) { Shape = Shape }, step);
    }
}
