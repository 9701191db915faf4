using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Optimization;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>A weight whose dense matrices are all under FlexRound.</summary>
internal sealed class FlexRoundWeight : MatrixwiseWeight<FlexRoundMatrix>
{
    /// <summary>Low-rank divisors have a quarter of the smaller side: 1024 at 4096, 2048 at 8192.</summary>
    private const int RankShare = 4;

    /// <summary>Puts every dense matrix of a layer on its initial grid.</summary>
    public FlexRoundWeight(LayerProblem problem, FlexRound step)
        : this(problem, step, Dtypes.Of(step.ScaleType))
    {
    }

    /// <inheritdoc cref="FlexRoundWeight(LayerProblem, FlexRound)"/>
    /// <param name="problem">The layer.</param>
    /// <param name="step">The settings.</param>
    /// <param name="scaleType">The dtype that scales are rounded to; float64 for the exact method.</param>
    public FlexRoundWeight(LayerProblem problem, FlexRound step, ScalarType scaleType)
        : this(problem, step, scaleType, new Generator((ulong)problem.Seed))
    {
    }

    private FlexRoundWeight(LayerProblem problem, FlexRound step, ScalarType scaleType, Generator generator)
        : base(problem.Weight, dense => Matrix(dense, problem.Shape, step, scaleType, generator))
    {
        generator.Dispose();
        Groups = [new(new Adam(step.LearningRate), [.. Matrices.SelectMany(matrix => matrix.Trained)])];
    }

    /// <inheritdoc/>
    public override IReadOnlyList<TrainableGroup> Groups { get; }

    private static FlexRoundMatrix Matrix(Dense dense, LayerShape shape, FlexRound step, ScalarType scaleType, Generator generator)
    {
        using var scope = NewDisposeScope();
        var geometry = GridGeometry.For(step, dense.Rows, dense.Columns);
        var weight = dense.Materialize();
        var grid = FlexRoundGrid.Of(weight, geometry, scaleType, step.RangeSearch);
        if (step.Form == FlexRoundForm.Lrq)
        {
            long side = Math.Min(dense.Rows, dense.Columns);
            return FlexRoundMatrix.LowRank(weight, geometry, grid, step.LrqRank > 0 ? step.LrqRank : Math.Max(1, side / RankShare), generator);
        }

        long kernel = shape.Kernel is { } window && dense.Columns == shape.Columns ? window.Height * window.Width : 1;
        return new(weight, geometry, grid, kernel);
    }
}
