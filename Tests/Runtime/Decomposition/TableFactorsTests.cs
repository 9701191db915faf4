using PipelineDsl.Runtime.Decomposition;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Decomposition;

public sealed class TableFactorsTests : IDisposable
{
    private const int Rows = 30;
    private const int Width = 8;

    private readonly DisposeScope scope = NewDisposeScope();
    private readonly Tensor table = LayerProblems.Weight(Rows, Width) + linspace(1, -2, Width, dtype: float64);
    private readonly Tensor counts = arange(Rows, dtype: float64) % 7;

    public static TheoryData<string, Decompose> Steps => new()
    {
        { "whitened", new Decompose { Rank = 3, Orientation = Orientation.Whitened } },
        { "output", new Decompose { Rank = 3, Orientation = Orientation.Output } },
        { "mimicked", new MimicFeatures { Rank = 3 } },
        { "mimicked uniformly", new MimicFeatures { Rank = 3, Weighting = RowWeighting.Uniform } },
        { "mimicked without padding", new MimicFeatures { Rank = 3, PaddingIndex = 6 } },
    };

    public void Dispose() => scope.Dispose();

    [Theory]
    [MemberData(nameof(Steps))]
    public void The_predicted_loss_is_the_weighted_error_and_the_smallest_of_the_rank(string name, Decompose step)
    {
        var weights = step is MimicFeatures { Weighting: RowWeighting.Uniform } ? ones_like(counts) : counts.clone();
        if (name.EndsWith("padding", StringComparison.Ordinal))
        {
            weights[6] = 0;
        }

        var solution = Solve(step);
        double loss = LossOf(solution.Weight, weights);
        solution.Facts["predictedLoss"].ShouldBeNear(loss, 1e-9);
        solution.Facts["rank"].ShouldBe(3);
        solution.Spectrum.Count.ShouldBe(Width);
        solution.Bias.ShouldBeNull();

        // The best rank of all, by a decomposition of the weighted rows themselves.
        bool centred = step.Orientation == Orientation.Output;
        var mean = centred ? table.mT.mv(weights) / weights.sum() : zeros(Width, dtype: float64);
        var (_, s, _) = linalg.svd((table - mean) * (weights / weights.sum()).sqrt().unsqueeze(1), fullMatrices: false);
        loss.ShouldBeNear(s.narrow(0, 3, Width - 3).square().sum().item<double>(), 1e-9);
        foreach (var rival in Steps.Select(row => row.Data.Item2).Where(rival => centred || rival.Orientation != Orientation.Output))
        {
            loss.ShouldBeLessThanOrEqualTo(LossOf(Solve(rival).Weight, weights) * (1 + 1e-12));
        }
    }

    [Theory]
    [MemberData(nameof(Steps))]
    public void Bytes_are_those_that_the_step_predicts(string name, Decompose step)
    {
        name.ShouldNotBeEmpty();
        var shape = new LayerShape(LayerKinds.Embedding, Rows, Width);
        Solve(step, float32).Weight.Bytes.ShouldBe(step.Predict(shape, []).Sum(cost => cost.Bytes));
    }

    [Fact]
    public void A_row_that_is_never_looked_up_is_transformed_but_has_no_say()
    {
        var changed = table.clone();
        changed[7] = 100 * ones(Width, dtype: float64);
        var before = MimickedTable.Of(table, MimickedTable.Lookups(table, counts), 3);
        var after = MimickedTable.Of(changed, MimickedTable.Lookups(changed, counts), 3);
        counts[7].item<double>().ShouldBe(0);
        after.Basis.ShouldBeNear(before.Basis, 1e-12);
        after.Mean.ShouldBeNear(before.Mean, 1e-12);
        after.Rows[7].ShouldBeNear((changed[7] - before.Mean).matmul(before.Basis), 1e-12);
        after.Rows.isfinite().all().item<bool>().ShouldBeTrue();
    }

    [Fact]
    public void A_table_that_nothing_looks_up_counts_all_rows_the_same_and_says_so()
    {
        var solution = Solve(new MimicFeatures { Rank = 3 }, statistics: new() { AccessCounts = zeros(Rows, dtype: float64) });
        solution.Notes.ShouldHaveSingleItem().ShouldContain("looks up no row");
        solution.Weight.Materialize().ShouldBeNear(Solve(new MimicFeatures { Rank = 3, Weighting = RowWeighting.Uniform }).Weight.Materialize(), 1e-12);
    }

    [Fact]
    public void A_rank_beyond_the_rows_that_are_looked_up_is_clipped_with_a_note()
    {
        var few = zeros(Rows, dtype: float64);
        few[1] = 3;
        few[2] = 5;
        var solution = Solve(new MimicFeatures { Rank = 3 }, statistics: new() { AccessCounts = few });
        solution.Facts["rank"].ShouldBe(1);
        solution.Notes.ShouldHaveSingleItem().ShouldContain("clipped to 1");
    }

    [Fact]
    public void Counts_that_were_not_collected_are_missed() =>
        Should.Throw<InvalidOperationException>(() => Solve(new MimicFeatures { Rank = 3 }, statistics: LayerStatistics.None)).Message.ShouldContain("no access counts");

    [Fact]
    public void Fields_that_do_not_fit_the_next_layer_are_refused()
    {
        var narrow = MimickedTable.Of(table, MimickedTable.Lookups(table, counts), 3);
        Should.Throw<ArgumentException>(() => MimickedTable.FuseNext(ones(4, 15, dtype: float64), ones(4, dtype: float64), [narrow, narrow])).Message.ShouldContain("8 + 8");
    }

    [Fact]
    public void The_mean_survives_quantisation_and_factors_do_not_stay_dense()
    {
        var step = new Quantize { Bits = 8, GroupSize = 4 };
        var problem = new LayerProblem("table", Solve(new MimicFeatures { Rank = 3 }, float32).Weight, null, LayerStatistics.None, 0);
        var shifted = SolverCatalog.For(step).Solve(problem, step).Weight.ShouldBeOfType<Shifted>();
        shifted.Inner.Parts.ShouldAllBe(part => part is Grid);
        shifted.Row.dtype.ShouldBe(float32);
    }

    [Fact]
    public void Lookups_are_counted_whatever_their_shape_and_dtype()
    {
        using var counter = new AccessCounter(5);
        counter.Add(tensor(new long[] { 0, 4, 4, 1 }, [2, 2]));
        counter.Add(tensor(new[] { 4, 0 }));
        counter.Counts.data<double>().ToArray().ShouldBe([2, 1, 0, 0, 3]);
    }

    [Fact]
    public void Solving_leaves_nothing_alive()
    {
        var statistics = new LayerStatistics { AccessCounts = counts };
        var problem = new LayerProblem("table", new Dense(table), null, statistics, 0) { Shape = new(LayerKinds.Embedding, Rows, Width) };
        var step = new MimicFeatures { Rank = 3, PaddingIndex = 0 };
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        SolverCatalog.For(step).Solve(problem, step).Release();
        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
    }

    private LayerSolution Solve(Decompose step, ScalarType? dtype = null, LayerStatistics? statistics = null)
    {
        var problem = new LayerProblem("table", new Dense(table.to(dtype ?? float64, copy: true)), null, statistics ?? new() { AccessCounts = counts }, 0)
        {
            Shape = new(LayerKinds.Embedding, Rows, Width),
        };
        return SolverCatalog.For(step).Solve(problem, step);
    }

    private double LossOf(Expression weight, Tensor weights) => ((weight.Materialize() - table).square().sum(1).dot(weights) / weights.sum()).item<double>();
}
