using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Decomposition;

public sealed class DecomposeSolverTests
{
    public static TheoryData<Orientation, bool> Cases => new MatrixTheoryData<Orientation, bool>(Enum.GetValues<Orientation>(), [true, false]);

    public static TheoryData<Orientation> Orientations => [.. Enum.GetValues<Orientation>()];

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_predicted_loss_is_the_loss_of_the_stored_weight_in_the_metric(Orientation orientation, bool tall)
    {
        using var scope = NewDisposeScope();
        var (rows, columns) = Shape(tall);
        var inputs = LayerProblems.Inputs(columns);
        var problem = LayerProblems.Make(rows, columns, inputs, float64);
        var solution = Solve(problem, orientation, 4);
        var difference = problem.Weight.Materialize() - solution.Weight.Materialize();

        double loss = difference.mm(MetricFactorOf(orientation, problem.Statistics)).square().sum().item<double>();
        solution.Facts["predictedLoss"].ShouldBeNear(loss, 1e-8);
        double whole = problem.Weight.Materialize().mm(MetricFactorOf(orientation, problem.Statistics)).square().sum().item<double>();
        solution.Facts["energyKept"].ShouldBeNear(1 - loss / whole, 1e-8);
        solution.Facts["rank"].ShouldBe(4);
        solution.Facts["relativeError"].ShouldBeNear(Compare.Norm(difference) / Compare.Norm(problem.Weight.Materialize()), 1e-12);
        solution.Spectrum.Count.ShouldBe((int)Math.Min(rows, columns));
        solution.Notes.ShouldBeEmpty();
        foreach (var rival in Enum.GetValues<Orientation>())
        {
            var other = problem.Weight.Materialize() - Solve(problem, rival, 4).Weight.Materialize();
            loss.ShouldBeLessThanOrEqualTo(other.mm(MetricFactorOf(orientation, problem.Statistics)).square().sum().item<double>() * (1 + 1e-12));
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Factors_have_the_rank_and_the_predicted_bytes(Orientation orientation, bool tall)
    {
        using var scope = NewDisposeScope();
        var (rows, columns) = Shape(tall);
        foreach (var dtype in new[] { float32, float64, float16, bfloat16 })
        {
            var solution = Solve(LayerProblems.Make(rows, columns, LayerProblems.Inputs(columns), dtype), orientation, 3);
            var product = solution.Weight.ShouldBeOfType<Product>();
            product.Left.Columns.ShouldBe(3);
            product.Leaves().ShouldAllBe(leaf => leaf.Tensor.dtype == (dtype == float64 ? float64 : float32));
            if (dtype != float64)
            {
                var shape = new LayerShape(LayerKinds.Linear, rows, columns);
                product.Bytes.ShouldBe(new Decompose { Rank = 3 }.Predict(shape, []).Sum(cost => cost.Bytes));
            }
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_output_orientation_keeps_the_mean_output_with_and_without_a_bias(bool biased)
    {
        using var scope = NewDisposeScope();
        var inputs = LayerProblems.Inputs(10);
        var bias = biased ? LayerProblems.Weight(14, 1).squeeze(1) : null;
        var problem = LayerProblems.Make(14, 10, inputs, float64, bias);
        var solution = Solve(problem, Orientation.Output, 3);
        var x = inputs.reshape(-1, 10);
        var before = problem.Weight.Apply(x) + (bias ?? zeros(14, dtype: float64));
        var after = solution.Weight.Apply(x) + solution.Bias!;
        after.mean([0]).ShouldBeNear(before.mean([0]), 1e-10);
        (after - before).square().sum(1).mean().item<double>().ShouldBeNear(solution.Facts["predictedLoss"], 1e-9);
        Solve(problem, Orientation.Whitened, 3).Bias.ShouldBeNull();
    }

    [Fact]
    public void A_rank_beyond_what_the_data_show_is_clipped_with_a_note()
    {
        using var scope = NewDisposeScope();
        var inputs = LayerProblems.Inputs(16, tokens: 1);
        var solution = Solve(LayerProblems.Make(12, 16, inputs), Orientation.Whitened, 9);
        solution.Facts["rank"].ShouldBe(4);
        solution.Weight.ShouldBeOfType<Product>().Left.Columns.ShouldBe(4);
        solution.Notes.ShouldHaveSingleItem().ShouldContain("clipped to 4");
    }

    [Theory]
    [MemberData(nameof(Orientations))]
    public void A_layer_that_sees_nothing_is_decomposed_by_itself_with_a_note(Orientation orientation)
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(12, 8, LayerProblems.Inputs(8)) with { Statistics = LayerProblems.Silent(12, 8) };
        var solution = Solve(problem, orientation, 3);
        Compare.SameBits(solution.Weight.Materialize(), Solve(problem, Orientation.Weight, 3).Weight.Materialize()).ShouldBeTrue();
        solution.Notes.Count.ShouldBe(orientation == Orientation.Weight ? 0 : 1);
    }

    [Fact]
    public void Inputs_that_never_vary_leave_the_output_orientation_nothing_to_see()
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(12, 8, LayerProblems.Inputs(8).narrow(0, 0, 1).narrow(1, 0, 1).expand(5, 9, 8));
        var solution = Solve(problem, Orientation.Output, 3);
        solution.Notes.ShouldHaveSingleItem().ShouldContain("never vary");
    }

    [Fact]
    public void A_zero_weight_stays_zero()
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(12, 8, LayerProblems.Inputs(8)) with { Weight = new Dense(zeros(12, 8)) };
        var solution = Solve(problem, Orientation.Whitened, 3);
        Compare.Norm(solution.Weight.Materialize()).ShouldBe(0);
        solution.Facts["relativeError"].ShouldBe(0);
        solution.Facts.Values.ShouldAllBe(fact => double.IsFinite(fact));
    }

    [Theory]
    [MemberData(nameof(Orientations))]
    public void Broken_or_missing_numbers_are_refused(Orientation orientation)
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(12, 8, LayerProblems.Inputs(8));
        var broken = full([12, 8], double.NaN, dtype: float32);
        Should.Throw<InvalidOperationException>(() => Solve(problem with { Weight = new Dense(broken) }, orientation, 3)).Message.ShouldBe("the weight holds NaN");
        if (orientation != Orientation.Weight)
        {
            Should.Throw<InvalidOperationException>(() => Solve(problem with { Statistics = LayerStatistics.None }, orientation, 3)).Message.ShouldContain("collected");
            problem.Statistics.InputMoments!.Gram[0, 0] = double.PositiveInfinity;
            problem.Statistics.Covariances[StatisticKinds.ContextCovariance][0, 0] = double.PositiveInfinity;
            problem.Statistics.Fisher!.Columns[0] = double.PositiveInfinity;
            Should.Throw<InvalidOperationException>(() => Solve(problem, orientation, 3)).Message.ShouldContain("infinity");
        }
    }

    [Theory]
    [MemberData(nameof(Orientations))]
    public void The_same_layer_gives_the_same_bits_and_leaves_nothing_alive(Orientation orientation)
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(12, 8, LayerProblems.Inputs(8));
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        var first = Solve(problem, orientation, 3);
        var second = Solve(problem, orientation, 3);
        using (NewDisposeScope())
        {
            Compare.SameBits(first.Weight.Materialize(), second.Weight.Materialize()).ShouldBeTrue();
            first.Facts.ShouldBe(second.Facts);
        }

        first.Release();
        second.Release();
        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
    }

    private static (long Rows, long Columns) Shape(bool tall) => tall ? (14, 10) : (10, 14);

    private static LayerSolution Solve(LayerProblem problem, Orientation orientation, int rank)
    {
        var step = new Decompose { Orientation = orientation, Rank = rank };
        return SolverCatalog.For(step).Solve(problem, step);
    }

    /// <summary>L by the definitions of the methods' pages, not by the solver's code.</summary>
    private static Tensor MetricFactorOf(Orientation orientation, LayerStatistics statistics)
    {
        var moments = statistics.InputMoments!;
        var mean = moments.Sum / moments.Count;
        var covariance = statistics.Covariances[StatisticKinds.ContextCovariance];
        var identity = eye(mean.shape[0], dtype: float64);
        return orientation switch
        {
            Orientation.Weight => identity,
            Orientation.Context => covariance + identity * (covariance.diagonal().mean() * 0.01),
            Orientation.Whitened => linalg.cholesky(moments.Gram / moments.Count),
            Orientation.Output => linalg.cholesky(moments.Gram / moments.Count - mean.outer(mean)),
            _ => diag(statistics.Fisher!.Columns.sqrt()),
        };
    }
}
