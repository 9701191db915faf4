using PipelineDsl.Runtime.Decomposition;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Weights;
using PipelineDsl.Runtime.Tests.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Decomposition;

public sealed class BitStackSolverTests
{
    public static TheoryData<long, long, bool, bool> Shapes
    {
        get
        {
            var data = new TheoryData<long, long, bool, bool>();
            for (int columns = 8; columns < 16; columns++)
            {
                data.Add(7, columns, true, false);
            }

            data.Add(7, 9, false, false);
            data.Add(40, 50, true, true);
            data.Add(40, 50, false, true);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Predicted_bytes_are_the_bytes_that_are_stored(long rows, long columns, bool scaleWeight, bool plain)
    {
        using var scope = NewDisposeScope();
        var step = new BitStack { Blocks = 3, Rank = 2, ScaleWeight = scaleWeight, Plain = plain };
        var weight = Solve(Problem(rows, columns), step).Weight;
        var shape = new LayerShape(LayerKinds.Linear, rows, columns);
        weight.Bytes.ShouldBe(step.Predict(shape, []).Sum(cost => cost.Bytes));
        Stack.Blocks(weight).ShouldAllBe(block => block.Bytes == step.BytesPerBlock(shape));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Each_block_leaves_less_of_the_scaled_weight(bool plain)
    {
        using var scope = NewDisposeScope();
        var errors = Enumerable.Range(1, 6).Select(blocks => Solve(Problem(24, 30), new BitStack { Blocks = blocks, Rank = 2, Plain = plain }).Facts["scaledError"]).ToList();
        errors.Zip(errors.Skip(1)).ShouldAllBe(pair => pair.Second < pair.First);
    }

    [Fact]
    public void Scaling_by_the_inputs_lowers_the_error_of_the_outputs()
    {
        using var scope = NewDisposeScope();
        var inputs = LayerProblems.Inputs(30) * linspace(0.01, 3, 30, dtype: float64);
        var problem = LayerProblems.Make(24, 30, inputs);
        double Error(bool scaleWeight)
        {
            var weight = Solve(problem, new BitStack { Blocks = 3, Rank = 2, ScaleWeight = scaleWeight }).Weight.Materialize().to(float64);
            return Compare.Norm(inputs.matmul((problem.Weight.Materialize().to(float64) - weight).mT));
        }

        Error(true).ShouldBeLessThan(Error(false));
    }

    [Fact]
    public void A_zero_weight_and_silent_inputs_are_harmless()
    {
        using var scope = NewDisposeScope();
        var silent = new LayerProblem("fc", new Dense(zeros(6, 9)), null, LayerProblems.Silent(6, 9), 0);
        var solution = Solve(silent, new BitStack { Blocks = 2, Rank = 2 });
        Compare.Norm(solution.Weight.Materialize()).ShouldBe(0);
        solution.Facts["scaledError"].ShouldBe(0);
        var problem = new LayerProblem("fc", new Dense(Forms.Random([6, 9])), null, LayerProblems.Silent(6, 9), 0);
        Solve(problem, new BitStack { Blocks = 12, Rank = 2 }).Facts["relativeError"].ShouldBeLessThan(0.02);
    }

    [Fact]
    public void What_float16_cannot_hold_is_refused()
    {
        using var scope = NewDisposeScope();
        var problem = new LayerProblem("fc", new Dense(full([64, 64], 1e12, dtype: float32)), null, LayerProblems.Collect(64, LayerProblems.Inputs(64)), 0);
        Should.Throw<InvalidOperationException>(() => Solve(problem, new BitStack { Blocks = 1, Rank = 2 })).Message.ShouldContain("float16");
        var nan = problem with { Weight = new Dense(full([64, 64], double.NaN, dtype: float32)) };
        Should.Throw<InvalidOperationException>(() => Solve(nan, new BitStack())).Message.ShouldBe("the weight holds NaN");
    }

    [Fact]
    public void The_same_layer_gives_the_same_bits_and_leaves_nothing_alive()
    {
        using var scope = NewDisposeScope();
        var problem = Problem(14, 10);
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        var first = Solve(problem, new BitStack { Blocks = 3, Rank = 2 });
        var second = Solve(problem, new BitStack { Blocks = 3, Rank = 2 });
        first.Weight.Leaves().Zip(second.Weight.Leaves()).ShouldAllBe(pair => Compare.SameBits(pair.First.Tensor, pair.Second.Tensor));
        first.Release();
        second.Release();
        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
    }

    private static LayerProblem Problem(long rows, long columns) => LayerProblems.Make(rows, columns, LayerProblems.Inputs(columns));

    private static LayerSolution Solve(LayerProblem problem, BitStack step) => new BitStackSolver().Solve(problem, step);
}
