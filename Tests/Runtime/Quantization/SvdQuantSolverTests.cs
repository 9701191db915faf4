using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Quantization;

public sealed class SvdQuantSolverTests
{
    private const long Rows = 12;
    private const long Columns = 20;

    public static TheoryData<string> Steps => [.. Variants.Keys];

    private static Dictionary<string, SvdQuant> Variants => new()
    {
        ["defaults"] = Small(),
        ["nvfp4"] = Small(FourBitFormat.Nvfp4),
        ["float32"] = With(step => step.ScaleType = ScaleType.Float32),
        ["nvfp4, float32"] = With(step => (step.Format, step.ScaleType) = (FourBitFormat.Nvfp4, ScaleType.Float32)),
        ["no branch"] = With(step => step.Rank = 0),
        ["no smoothing"] = With(step => step.Smoothing = SmoothingFamily.None),
        ["fixed smoothing"] = With(step => step.Smoothing = SmoothingFamily.Fixed),
        ["inputs as they are"] = With(step => step.ActivationBits = 0),
        ["inputs of 8 bits"] = With(step => step.ActivationBits = 8),
        ["shifted inputs"] = With(step => step.InputShift = 80),
        ["gptq"] = With(step => (step.Rounding, step.ActivationBits, step.Rank) = (ResidualRounding.Gptq, 0, 0)),
        ["compensating"] = With(step => step.Compensate = true),
        ["full rank"] = With(step => step.Rank = (int)Rows),
        ["groups that do not divide"] = With(step => step.GroupSize = 7),
    };

    [Theory]
    [MemberData(nameof(Steps))]
    public void The_stored_layer_has_the_error_and_bytes_that_were_promised(string name)
    {
        using var scope = NewDisposeScope();
        var step = Variants[name];
        var problem = Problem();
        var solution = Solve(problem, step);
        var shape = new LayerShape(LayerKinds.Linear, Rows, Columns);
        solution.Weight.Bytes.ShouldBe(step.Resolve(shape).Predict(shape, []).Sum(cost => cost.Bytes));
        solution.Facts["bitsPerWeight"].ShouldBeNear(8.0 * solution.Weight.Bytes / (Rows * Columns), 1e-12);
        solution.Weight.IsLinear.ShouldBe(step.ActivationBits == 0);

        var x = problem.Statistics.InputSamples!.to(float64);
        var exact = x.mm(problem.Weight.Materialize().to(float64).mT);
        double error = Math.Pow(Compare.Norm(solution.Weight.Apply(x) - exact) / Compare.Norm(exact), 2);
        (error - solution.Facts["outputError"]).ShouldBeInRange(-1e-6, 1e-6);
        solution.Facts["outputError"].ShouldBeLessThanOrEqualTo(solution.Facts["iterationError.000"] * (1 + 1e-12));
        solution.Notes.ShouldBeEmpty();
    }

    [Fact]
    public void A_branch_and_smoothing_beat_rounding_on_inputs_with_outliers()
    {
        var facts = Solve(Problem(), Small()).Facts;
        facts["smoothedOutputError"].ShouldBeLessThan(facts["roundedOutputError"]);
        facts["outputError"].ShouldBeLessThan(facts["smoothedOutputError"]);
        facts.Keys.Count(key => key.StartsWith("smoothingError.", StringComparison.Ordinal)).ShouldBe(39);
        facts.Keys.Count(key => key.StartsWith("iterationError.", StringComparison.Ordinal)).ShouldBe((int)facts["iterations"]);
    }

    [Fact]
    public void Iterations_without_an_early_stop_run_to_their_end_and_keep_the_best()
    {
        var step = With(step => (step.EarlyStop, step.Iterations) = (false, 9));
        var facts = Solve(Problem(), step).Facts;
        double[] trace = [.. Enumerable.Range(0, 9).Select(i => facts[$"iterationError.{i:000}"])];
        facts["iterations"].ShouldBe(9);
        facts["bestIteration"].ShouldBe(Array.LastIndexOf(trace, trace.Min()));
        facts["outputError"].ShouldBeNear(trace.Min(), 1e-12);
    }

    [Theory]
    [InlineData(FourBitFormat.Int4)]
    [InlineData(FourBitFormat.Nvfp4)]
    public void Rows_groups_and_inputs_of_zeros_and_constants_are_no_obstacle(FourBitFormat format)
    {
        using var scope = NewDisposeScope();
        var weight = LayerProblems.Weight(Rows, Columns);
        weight[3] = 0;
        weight[TensorIndex.Colon, 4..8] = 0;
        var x = LayerProblems.Inputs(Columns);
        x[TensorIndex.Ellipsis, 2] = 0;
        x[TensorIndex.Ellipsis, 9] = 1;
        var solution = Solve(Problem(weight, x), Small(format));
        solution.Weight.Materialize()[3].abs().max().item<float>().ShouldBeLessThan(1e-2f);
        solution.Facts.Values.ShouldAllBe(value => double.IsFinite(value));

        foreach (var nothing in new[] { Problem(zeros(Rows, Columns, dtype: float64), x), Problem(weight, zeros_like(x)), Problem(weight, ones_like(x)) })
        {
            var result = Solve(nothing, Small(format));
            result.Facts.Values.ShouldAllBe(value => double.IsFinite(value));
            result.Weight.Apply(nothing.Statistics.InputSamples!).isfinite().all().item<bool>().ShouldBeTrue();
        }
    }

    [Fact]
    public void A_smoothing_that_holds_no_numbers_is_none()
    {
        var inputs = tensor(new[] { 1.0, 4, 0 });
        var weights = tensor(new[] { 2.0, 0, 1 });
        Smoothing.Vector(inputs, weights, 0.5, 0.5).data<double>().ToArray().ShouldBe([1.0, 1, 1]);
        Smoothing.Vector(inputs, weights, 0.5, 0).data<double>().ToArray().ShouldBe([1.0, 2, 1]);
        Smoothing.Vector(inputs, weights, 0, 0).data<double>().ToArray().ShouldBe([1.0, 1, 1]);
    }

    [Fact]
    public void A_nearly_silent_input_is_smoothed_as_far_as_its_dtype_reaches()
    {
        using var scope = NewDisposeScope();
        var x = LayerProblems.Inputs(Columns);
        x[TensorIndex.Ellipsis, 5] *= 1e-9;
        var solution = Solve(Problem(LayerProblems.Weight(Rows, Columns), x), With(step => (step.Smoothing, step.Alpha, step.Beta) = (SmoothingFamily.Fixed, 0.9, 0)));
        solution.Facts["outputError"].ShouldBeLessThan(solution.Facts["roundedOutputError"]);
        solution.Weight.Materialize().isfinite().all().item<bool>().ShouldBeTrue();
    }

    [Fact]
    public void Inputs_that_stay_negative_after_the_shift_are_reported()
    {
        var solution = Solve(Problem(), With(step => step.InputShift = 0.01));
        solution.Notes.ShouldHaveSingleItem().ShouldContain("is cut off");
    }

    [Fact]
    public void Gptq_is_taken_only_where_it_is_no_worse()
    {
        // Without a branch that was fitted to rounding to nearest, GPTQ wins.
        var taken = Solve(Problem(), With(step => (step.Rounding, step.ActivationBits, step.Rank) = (ResidualRounding.Gptq, 0, 0)));
        taken.Facts["outputError"].ShouldBeLessThan(taken.Facts["nearestOutputError"]);
        taken.Notes.ShouldBeEmpty();

        var fitted = Solve(Problem(), With(step => step.Rounding = ResidualRounding.Gptq));
        fitted.Facts["outputError"].ShouldBeLessThanOrEqualTo(fitted.Facts["nearestOutputError"]);
        fitted.Notes.Count.ShouldBe(fitted.Facts["outputError"] == fitted.Facts["nearestOutputError"] ? 1 : 0);
        fitted.Facts["nearestOutputError"].ShouldBe(Solve(Problem(), Small()).Facts["outputError"]);

        // Nothing is left to gain: a weight of zeros.
        var nothing = Solve(Problem(zeros(Rows, Columns, dtype: float64)), With(step => step.Rounding = ResidualRounding.Gptq));
        nothing.Facts["outputError"].ShouldBe(0);
    }

    [Fact]
    public void A_shift_gains_where_inputs_are_hardly_negative()
    {
        var x = nn.functional.gelu(LayerProblems.Inputs(Columns));
        var signed = Solve(Problem(LayerProblems.Weight(Rows, Columns), x), Small());
        var unsigned = Solve(Problem(LayerProblems.Weight(Rows, Columns), x), With(step => step.InputShift = InputShift.Gelu));
        unsigned.Notes.ShouldBeEmpty();
        unsigned.Facts["outputError"].ShouldBeLessThan(signed.Facts["outputError"]);
    }

    [Fact]
    public void The_same_layer_gives_the_same_bits_and_leaves_nothing_alive()
    {
        var problem = Problem();
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        var first = Solve(problem, Small());
        var second = Solve(problem, Small());
        first.Weight.Leaves().Zip(second.Weight.Leaves()).ShouldAllBe(pair => Compare.SameBits(pair.First.Tensor, pair.Second.Tensor));
        first.Release();
        second.Release();
        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
    }

    [Fact]
    public void Weights_that_hold_no_numbers_and_layers_without_data_are_refused()
    {
        var weight = LayerProblems.Weight(Rows, Columns);
        weight[1, 1] = double.NaN;
        Should.Throw<InvalidOperationException>(() => Solve(Problem(weight), Small())).Message.ShouldBe("the weight holds NaN");
        var silent = new LayerStatistics { InputSamples = empty(0, Columns), InputMagnitudes = new(zeros(Columns, dtype: float64), zeros(Columns, dtype: float64)) };
        Should.Throw<InvalidOperationException>(() => Solve(Problem() with { Statistics = silent }, Small())).Message.ShouldBe("no calibration data reached the layer");
        Should.Throw<InvalidOperationException>(() => Solve(Problem(LayerProblems.Weight(Rows, Columns) * 1e9), Small())).Message.ShouldContain("scaleType: float32");
    }

    private static SvdQuant Small(FourBitFormat format = FourBitFormat.Int4) => new() { Rank = 3, GroupSize = 4, Format = format };

    private static SvdQuant With(Action<SvdQuant> change)
    {
        var step = Small();
        change(step);
        return step;
    }

    private static LayerProblem Problem(Tensor? weight = null, Tensor? inputs = null)
    {
        var x = inputs ?? LayerProblems.Inputs(Columns) * where(arange(Columns) == 6, 40.0, 1.0);
        return new("fc", new Dense((weight ?? LayerProblems.Weight(Rows, Columns)).to(float32)), null, LayerProblems.Collect(Rows, x), 0);
    }

    private static LayerSolution Solve(LayerProblem problem, SvdQuant step) => SolverCatalog.For(step).Solve(problem, step);
}
