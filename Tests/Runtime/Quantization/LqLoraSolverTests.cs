using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Quantization;

public sealed class LqLoraSolverTests
{
    private const long Rows = 23;
    private const long Columns = 37;

    public static TheoryData<string> Steps => [.. Variants.Keys];

    private static Dictionary<string, LqLora> Variants => new()
    {
        ["blocks that do not divide"] = Small(),
        ["published blocks, larger than the matrix"] = With(step => (step.BlockSize, step.ScaleBlock) = (64, 256)),
        ["one block"] = With(step => step.BlockSize = 4096),
        ["2 bits, scales of 2 bits"] = With(step => (step.Bits, step.ScaleBits) = (2, 2)),
        ["4 bits, scales of 4 bits in bfloat16"] = With(step => (step.Bits, step.ScaleBits, step.ScaleType) = (4, 4, RealType.Bfloat16)),
        ["8 bits, scales of 3 bits in float16"] = With(step => (step.Bits, step.ScaleBits, step.ScaleType) = (8, 3, RealType.Float16)),
        ["factors in bfloat16"] = With(step => step.FactorType = RealType.Bfloat16),
        ["factors in float16, scaled"] = With(step => (step.FactorType, step.LoraAlpha) = (RealType.Float16, 16)),
        ["no factors"] = With(step => step.Rank = 0),
        ["full rank"] = With(step => step.Rank = (int)Rows),
        ["official"] = With(step => step.Parity = Parity.Official),
        ["rows"] = With(step => step.Axis = FisherAxis.Output),
        ["columns"] = With(step => step.Axis = FisherAxis.Input),
        ["not weighted"] = With(step => step.Weighted = false),
    };

    [Theory]
    [MemberData(nameof(Steps))]
    public void The_stored_layer_has_the_error_and_bytes_that_were_promised_and_is_read_back(string name)
    {
        using var scope = NewDisposeScope();
        var step = Variants[name];
        var problem = Problem();
        var solution = Solve(problem, step);
        var costs = step.Predict(problem.Shape, []);
        solution.Weight.Bytes.ShouldBe(costs.Sum(cost => cost.Bytes));
        (solution.Weight is Sum sum ? sum.Parts[0] : solution.Weight).Bytes.ShouldBe(costs[0].Bytes);
        solution.Facts["bitsPerWeight"].ShouldBeNear(8.0 * solution.Weight.Bytes / (Rows * Columns), 1e-12);
        solution.Facts["codeBitsPerWeight"].ShouldBeNear(8.0 * costs[0].Bytes / (Rows * Columns), 1e-12);

        var fisher = step.Weighted ? problem.Statistics.FisherDiagonal : null;
        double error = MatrixChecks.WeightedError(problem.Weight.Materialize(), solution.Weight.Materialize(), fisher);
        solution.Facts["weightedError"].ShouldBe(error);
        double[] trace = [.. Enumerable.Range(0, (int)solution.Facts["iterations"]).Select(i => solution.Facts[$"iterationError.{i:000}"])];
        trace[(int)solution.Facts["bestIteration"]].ShouldBe(error);
        if (step.Parity == Parity.Sound)
        {
            error.ShouldBe(trace.Min());
        }

        if (step.Rank > 0)
        {
            error.ShouldBeLessThan(solution.Facts["normalFloatError"]);
        }

        solution.Notes.ShouldBeEmpty();
        using var copy = Expression.Read(solution.Weight.Describe(), Weights.ExpressionTests.Leaves(solution.Weight));
        Compare.SameBits(copy.Materialize(), solution.Weight.Materialize()).ShouldBeTrue();
        var x = LayerProblems.Inputs(Columns).to(float32);
        solution.Weight.Apply(x).ShouldBeNear(nn.functional.linear(x, solution.Weight.Materialize()), 1e-5);
    }

    [Fact]
    public void The_official_end_is_the_turn_after_the_best()
    {
        var (sound, official) = (Solve(Problem(), Small()).Facts, Solve(Problem(), With(step => step.Parity = Parity.Official)).Facts);
        official["bestIteration"].ShouldBe(sound["bestIteration"] + 1);
        official["weightedError"].ShouldBeGreaterThan(sound["weightedError"]);
    }

    [Fact]
    public void Iterations_are_no_more_than_asked_for()
    {
        var facts = Solve(Problem(), With(step => step.Iterations = 2)).Facts;
        facts["iterations"].ShouldBe(2);
        facts["weightedError"].ShouldBe(facts["iterationError.001"]);
    }

    [Fact]
    public void Rows_of_zeros_and_constants_and_a_weight_of_zeros_are_no_obstacle()
    {
        using var scope = NewDisposeScope();
        var weight = LayerProblems.Weight(Rows, Columns);
        weight[3] = 0;
        weight[4] = 0;
        weight[7] = 0.75;
        foreach (var matrix in new[] { weight, zeros_like(weight), ones_like(weight) })
        {
            foreach (int rank in new[] { 0, 3 })
            {
                var step = With(step => step.Rank = rank);
                var solution = Solve(Problem(matrix), step);
                solution.Facts.Values.ShouldAllBe(value => double.IsFinite(value));
                solution.Weight.Materialize().isfinite().all().item<bool>().ShouldBeTrue();
                solution.Weight.Bytes.ShouldBe(step.Predict(new(LayerKinds.Linear, Rows, Columns), []).Sum(cost => cost.Bytes));
            }
        }

        Solve(Problem(zeros_like(weight)), With(step => step.Rank = 0)).Weight.Materialize().abs().max().item<float>().ShouldBe(0);
    }

    [Fact]
    public void Rows_and_columns_that_no_gradient_reaches_are_fitted_last()
    {
        using var scope = NewDisposeScope();
        var fisher = Fisher();
        fisher[2] = 0;
        fisher[TensorIndex.Colon, 5] = 0;
        foreach (var axis in Enum.GetValues<FisherAxis>())
        {
            var solution = Solve(Problem(fisher: fisher), With(step => step.Axis = axis));
            solution.Weight.Materialize().isfinite().all().item<bool>().ShouldBeTrue();
            solution.Facts["weightedError"].ShouldBeLessThan(solution.Facts["normalFloatError"]);
        }

        var dead = Solve(Problem(fisher: zeros_like(fisher)), Small());
        dead.Notes.ShouldHaveSingleItem().ShouldContain("no gradient reaches the layer");
        Compare.SameBits(dead.Weight.Materialize(), Solve(Problem(), With(step => step.Weighted = false)).Weight.Materialize()).ShouldBeTrue();
    }

    [Fact]
    public void The_same_layer_gives_the_same_bits_and_leaves_nothing_alive()
    {
        var problem = Problem();
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        foreach (var step in new[] { Small(), With(step => step.Parity = Parity.Official), With(step => step.Rank = 0) })
        {
            var first = Solve(problem, step);
            var second = Solve(problem, step);
            first.Weight.Leaves().Zip(second.Weight.Leaves()).ShouldAllBe(pair => Compare.SameBits(pair.First.Tensor, pair.Second.Tensor));
            first.Release();
            second.Release();
        }

        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
    }

    [Fact]
    public void Weights_that_hold_no_numbers_or_do_not_fit_and_layers_without_gradients_are_refused()
    {
        var weight = LayerProblems.Weight(Rows, Columns);
        weight[1, 1] = double.NaN;
        Should.Throw<InvalidOperationException>(() => Solve(Problem(weight), Small())).Message.ShouldBe("the weight holds NaN");
        Should.Throw<InvalidOperationException>(() => Solve(Problem(LayerProblems.Weight(Rows, Columns) * 1e6), With(step => step.ScaleType = RealType.Float16))).Message.ShouldContain("scaleType: bfloat16");
        Should.Throw<InvalidOperationException>(() => Solve(Problem(LayerProblems.Weight(Rows, Columns) * 1e15), With(step => step.FactorType = RealType.Float16))).Message.ShouldContain("factorType: bfloat16");
        Should.Throw<InvalidOperationException>(() => Solve(Problem() with { Statistics = new() }, Small())).Message.ShouldContain("no Fisher information");
    }

    private static LqLora Small() => new() { Bits = 3, Rank = 3, BlockSize = 16, ScaleBlock = 16 };

    private static LqLora With(Action<LqLora> change)
    {
        var step = Small();
        change(step);
        return step;
    }

    private static Tensor Fisher() => LayerProblems.Weight(Rows, Columns).roll(5).square().to(float32);

    private static LayerProblem Problem(Tensor? weight = null, Tensor? fisher = null) =>
        new("fc", new Dense((weight ?? LayerProblems.Weight(Rows, Columns)).to(float32)), null, new LayerStatistics { FisherDiagonal = fisher ?? Fisher() }, 0);

    private static LayerSolution Solve(LayerProblem problem, LqLora step) => SolverCatalog.For(step).Solve(problem, step);
}
