using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>A weight whose dense matrices are all under FlexRound.</summary>
internal sealed class FlexRoundWeight : TrainableWeight
{
    /// <summary>Low-rank divisors have a quarter of the smaller side: 1024 at 4096, 2048 at 8192.</summary>
    private const int RankShare = 4;

    private readonly Expression template;
    private readonly List<FlexRoundMatrix> matrices = [];

    /// <summary>Puts every dense matrix of a layer on its initial grid.</summary>
    public FlexRoundWeight(LayerProblem problem, FlexRound step)
        : this(problem, step, step.ScaleType == ScaleType.Float16 ? float16 : float32)
    {
    }

    /// <inheritdoc cref="FlexRoundWeight(LayerProblem, FlexRound)"/>
    /// <param name="problem">The layer.</param>
    /// <param name="step">The settings.</param>
    /// <param name="scaleType">The dtype that scales are rounded to; float64 for the exact method.</param>
    public FlexRoundWeight(LayerProblem problem, FlexRound step, ScalarType scaleType)
    {
        using var generator = new Generator((ulong)problem.Seed);
        template = problem.Weight.RewriteDense(dense =>
        {
            matrices.Add(Matrix(dense, problem.Shape, step, scaleType, generator));
            return new Dense(dense.Matrix.alias());
        });
        Groups = [new(new Adam(step.LearningRate), [.. matrices.SelectMany(matrix => matrix.Trained)])];
    }

    /// <inheritdoc/>
    public override IReadOnlyList<TrainableGroup> Groups { get; }

    /// <summary>The matrices, in the order in which the weight's form names them.</summary>
    public IReadOnlyList<FlexRoundMatrix> Matrices => matrices;

    /// <inheritdoc/>
    public override Tensor Soft() => Rewritten(matrix => new Dense(matrix.Soft()), weight => weight.Materialize());

    /// <inheritdoc/>
    public override Expression Harden()
    {
        int next = 0;
        return template.RewriteDense(_ => matrices[next++].Harden());
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            template.Dispose();
            matrices.ForEach(matrix => matrix.Dispose());
        }

        base.Dispose(disposing);
    }

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

    private T Rewritten<T>(Func<FlexRoundMatrix, Dense> rewrite, Func<Expression, T> use)
    {
        int next = 0;
        using var weight = template.RewriteDense(_ => rewrite(matrices[next++]));
        return use(weight);
    }
}
