using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Tests.Weights;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Quantization;

public sealed class NupesTests
{
    private const int Rows = 6;
    private const int Columns = 18;

    public static TheoryData<string, Nupes> Steps => new()
    {
        { "channel", new() { Bits = 3 } },
        { "tensor", new() { Granularity = Granularity.Tensor } },
        { "groups that do not divide the width", new() { Bits = 3, Granularity = Granularity.Group, GroupSize = 7, ScaleType = ScaleType.Float32 } },
        { "soft rounding", new() { Bits = 3, SoftRounding = true, LearningRate = 5e-2 } },
        { "fixed exponent", new() { Bits = 3, ExponentLearningRate = 0 } },
    };

    [Theory]
    [MemberData(nameof(Steps))]
    public void Training_lowers_the_output_error_and_what_is_trained_is_what_is_stored(string name, Nupes step)
    {
        name.ShouldNotBeEmpty();
        using var scope = NewDisposeScope();
        var (problem, solver) = (Problem(), new NupesSolver());
        var start = solver.Solve(problem, step);
        using var trainable = solver.Start(problem, step, start);
        using var first = trainable.Harden();
        first.Materialize().ShouldBeNear(start.Weight.Materialize(), 1e-6);

        var (weight, x) = (problem.Weight.Materialize(), LayerProblems.Inputs(Columns).reshape(-1, Columns));
        var result = LayerReconstruction.Run(trainable, start.Weight, weight, x, solver.SettingsOf(step)! with { Steps = 150, Checkpoints = 150 });
        result.BestLoss.ShouldBeLessThan(result.StartLoss);
        OutputError.On(weight, x).Measure([new(result.Best!.Materialize(), null)]).ShouldBeNear(result.BestLoss, 1e-9);
        var shape = new LayerShape(LayerKinds.Linear, Rows, Columns);
        result.Best.Bytes.ShouldBe(step.Predict(shape, [new(Rows, Columns, 0)]).Sum(cost => cost.Bytes));
        result.Best.Dispose();
    }

    [Fact]
    public void A_zero_can_leave_zero_and_the_ends_of_the_grid_have_gradients()
    {
        using var scope = NewDisposeScope();
        var weight = Forms.Random([Rows, Columns], float64);
        weight[2] = 0;
        foreach (double exponent in new[] { 0.2, 0.6, 1, 2 })
        {
            using var matrix = new NupesMatrix(new PowerGrid(weight, new PowerQuant { Bits = 3 }, float64), exponent, float64);
            var soft = matrix.Soft();
            autograd.backward([soft], [ones_like(soft)]);
            matrix.Latent.grad!.isfinite().all().item<bool>().ShouldBeTrue();
            (matrix.Latent.grad! > 0).all().item<bool>().ShouldBeTrue();
            double.IsFinite(matrix.Exponent.grad!.item<double>()).ShouldBeTrue();
            matrix.Latent.grad![2].ShouldBeNear(full(Columns, Math.Pow(1.0 / 3, 1 / exponent), dtype: float64), 1e-12);
            matrix.Latent.Dispose();
            matrix.Exponent.Dispose();
        }
    }

    [Fact]
    public void Values_stay_within_half_a_code_of_the_grid_and_the_exponent_within_its_bounds()
    {
        using var scope = NewDisposeScope();
        using var matrix = new NupesMatrix(new PowerGrid(Forms.Random([Rows, Columns]), new PowerQuant { Bits = 3 }, float64), 0.5, float64);
        using var gradients = no_grad();
        matrix.Latent.mul_(100);
        matrix.Exponent.fill_(7);
        matrix.Project();
        matrix.Latent.abs().max().item<double>().ShouldBe(3.5);
        matrix.Exponent.item<double>().ShouldBe(2);
        matrix.Harden().Dispose();
        matrix.Latent.Dispose();
        matrix.Exponent.Dispose();
    }

    [Fact]
    public void Soft_rounding_sharpens_to_hard()
    {
        using var scope = NewDisposeScope();
        using var matrix = new NupesMatrix(new PowerGrid(Forms.Random([Rows, Columns]), new PowerQuant(), float64), 0.6, float64);
        using var gradients = no_grad();
        using var hard = matrix.Harden();
        matrix.Sharpness = 1e5;
        Compare.Norm(matrix.Soft() - hard.Materialize()).ShouldBeLessThan(1e-3 * Compare.Norm(hard.Materialize()));
        matrix.Latent.Dispose();
        matrix.Exponent.Dispose();
    }

    [Fact]
    public void No_iterations_are_no_training()
    {
        new NupesSolver().SettingsOf(new Nupes { Iterations = 0 }).ShouldBeNull();
        new NupesSolver().SettingsOf(new Nupes { Reconstruct = ReconstructionScope.Layer, Iterations = 7 })!.Scope.ShouldBe(ReconstructionScope.Layer);
    }

    private static LayerProblem Problem() => new("fc", Forms.Dense(Rows, Columns), null, LayerStatistics.None, 0);
}
