using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>FlexRound against the published quantiser in float64.</summary>
[Trait("Category", "Golden")]
public sealed class FlexRoundGoldenTests : IDisposable
{
    /// <summary>Steps over which two roundings of the same sums stay together.</summary>
    private const int TightSteps = 10;

    private readonly GoldenFile golden = GoldenFile.Open("flexround");
    private readonly FlexRound step;
    private readonly Tensor weight;
    private readonly Tensor x;
    private readonly LayerProblem problem;
    private readonly FlexRoundWeight trainable;

    public FlexRoundGoldenTests()
    {
        step = new()
        {
            Bits = golden.Integer("bits"),
            Symmetric = bool.Parse(golden.Setting("symmetric")),
            RangeSearch = bool.Parse(golden.Setting("clipping_search")),
            Iterations = golden.Integer("steps"),
            LearningRate = golden.Number("lr"),
        };
        weight = golden["in.weight"];
        x = golden["in.x"];
        problem = new("fc", new Dense(weight.clone()), null, LayerStatistics.None, 0);
        trainable = new(problem, step, float64);
    }

    private FlexRoundMatrix Matrix => trainable.Matrices[0];

    public void Dispose()
    {
        trainable.Dispose();
        problem.Weight.Dispose();
    }

    [Fact]
    public void The_start_is_rounding_to_nearest_on_the_reference_grid_exactly()
    {
        using var gradients = no_grad();
        var grid = Grid();
        grid.Scales.ShouldBeNear(golden["out.init_scale"], 1e-15);
        (grid.Zeros ?? zeros_like(grid.Scales)).ShouldBeNear(golden["out.init_zero"], 0);
        trainable.Soft().ShouldBeNear(golden["out.rtn_weight_hat"], 1e-15);
        Distance(trainable.Soft(), RoundedTo(grid.Scales, grid.Zeros)).ShouldBe(0);
    }

    [Fact]
    public void Weight_loss_and_gradients_equal_the_reference_at_its_point()
    {
        GoToPoint();
        var soft = trainable.Soft();
        soft.detach().ShouldBeNear(golden["out.point.weight_hat"], 1e-12);
        var error = OutputError.On(weight, x).Differentiate(0, [new(soft.detach(), null)]);
        error.Loss.ShouldBeNear(golden.Scalar("out.point.loss_mse"), 1e-12);
        autograd.backward([soft], [error.Gradients[0].Weight!]);
        Matrix.LogScale.grad!.ShouldBeNear(golden["out.point.grad_log_s1"], 1e-9);
        Matrix.Divisors[0].grad!.ShouldBeNear(golden["out.point.grad_log_S2"], 1e-9);
        Matrix.LogRows.grad!.ShouldBeNear(golden["out.point.grad_log_s3"], 1e-9);
    }

    [Fact]
    public void Training_follows_the_reference_and_ends_below_the_loss_of_rounding()
    {
        var losses = golden["out.train.losses"].data<double>().ToArray();
        using var start = trainable.Harden();
        var result = Train(trainable, start, step.Iterations);
        for (int i = 0; i < TightSteps; i++)
        {
            result.Losses[i].ShouldBeNear(losses[i], 1e-9);
        }

        using var gradients = no_grad();
        double final = OutputError.On(weight, x).Measure([new(trainable.Soft(), null)]);
        final.ShouldBeNear(losses[^1], 0.2);
        result.BestLoss.ShouldBeLessThanOrEqualTo(result.StartLoss);
        result.BestLoss.ShouldBeLessThanOrEqualTo(losses[^1] * 1.5);
        result.StartLoss.ShouldBeNear(losses[0], 1e-5);
        result.Best!.Dispose();
    }

    [Fact]
    public void The_first_step_moves_the_parameters_as_the_reference_does()
    {
        // The reference's cosine runs over all its steps; the first one has the full rate in every schedule.
        using var start = trainable.Harden();
        Train(trainable, start, 1).Best?.Dispose();
        Matrix.Divisors[0].detach().ShouldBeNear(golden["out.train.log_S2_after_1"], 1e-9);
        (Grid().Scales.log() + Matrix.LogScale.detach()).ShouldBeNear(golden["out.train.log_s1_after_1"], 1e-9);
    }

    [Fact]
    public void Trained_values_are_whole_steps_within_the_grid()
    {
        using var start = trainable.Harden();
        Train(trainable, start, step.Iterations).Best?.Dispose();
        using var gradients = no_grad();
        var grid = Grid();
        var steps = trainable.Soft() / (grid.Scales * Matrix.LogScale.exp());
        Distance(steps, steps.round()).ShouldBeLessThan(1e-9);
        var (low, high) = CodeRange(grid.Zeros);
        (steps.round() >= low).logical_and(steps.round() <= high).all().item<bool>().ShouldBeTrue();
        using var hard = trainable.Harden();
        hard.Materialize().ShouldBeNear(trainable.Soft(), 1e-6);
    }

    [Fact]
    public void Zeros_and_clipped_values_move_no_divisor_and_others_in_proportion_to_themselves()
    {
        GoToPoint();
        weight[0, 0] = 0;
        using var holed = new LayerProblem("fc", new Dense(weight.clone()), null, LayerStatistics.None, 0).Weight;
        using var other = new FlexRoundWeight(problem with { Weight = holed }, step, float64);
        var matrix = other.Matrices[0];
        using (no_grad())
        {
            matrix.LogScale.copy_(Matrix.LogScale - 0.7);
            matrix.Divisors[0].copy_(Matrix.Divisors[0]);
        }

        var soft = other.Soft();
        autograd.backward([soft], [ones_like(soft)]);
        using var gradients = no_grad();
        var grid = FlexRoundGrid.Of(weight, Geometry, float64, step.RangeSearch);
        var scale = grid.Scales * matrix.LogScale.exp();
        var steps = weight / (scale * matrix.Divisors[0].exp());
        var (low, high) = CodeRange(grid.Zeros);
        var clipped = (steps.round() < low).logical_or(steps.round() > high);
        clipped.any().item<bool>().ShouldBeTrue();
        var gradient = matrix.Divisors[0].grad!;
        gradient[0, 0].item<double>().ShouldBe(0);
        gradient.masked_select(clipped).abs().sum().item<double>().ShouldBe(0);
        var free = clipped.logical_not();
        (gradient / scale).masked_select(free).ShouldBeNear((-steps).masked_select(free), 1e-12);
    }

    [Fact]
    public void What_a_row_gains_and_its_values_lose_changes_nothing()
    {
        using var gradients = no_grad();
        GoToPoint();
        var before = trainable.Soft();
        Matrix.LogRows.add_(0.125);
        Matrix.Divisors[0].sub_(0.125);
        trainable.Soft().ShouldBeNear(before, 1e-12);
    }

    [Fact]
    public void With_divisors_at_rest_the_gradient_is_that_of_a_learned_step_size()
    {
        using (no_grad())
        {
            Matrix.LogScale.copy_(golden["in.point.log_s1"] - Grid().Scales.log());
        }

        var soft = trainable.Soft();
        var upstream = OutputError.On(weight, x).Differentiate(0, [new(soft.detach(), null)]).Gradients[0].Weight!;
        autograd.backward([soft], [upstream]);
        using var gradients = no_grad();
        var scale = golden["in.point.log_s1"].exp();
        var (low, high) = CodeRange(Grid().Zeros);
        var exact = weight / scale;
        var inside = (exact.round() >= low).logical_and(exact.round() <= high);
        var rounded = minimum(maximum(exact.round(), low), high);
        var bySize = where(inside, rounded - exact, rounded);
        Matrix.LogScale.grad!.ShouldBeNear((upstream * bySize * scale).sum([1L], keepdim: true), 1e-9);
    }

    [Fact]
    public void Divisors_of_low_rank_start_at_the_same_point_and_reach_every_other_at_full_rank()
    {
        using var gradients = no_grad();
        int rank = (int)Math.Min(weight.shape[0], weight.shape[1]);
        using var low = new FlexRoundWeight(problem, new() { Bits = step.Bits, Symmetric = step.Symmetric, Form = FlexRoundForm.Lrq, LrqRank = rank }, float64);
        Distance(low.Soft(), trainable.Soft()).ShouldBe(0);
        GoToPoint();
        var (u, s, vt) = linalg.svd(golden["in.point.log_S2"], fullMatrices: false);
        var matrix = low.Matrices[0];
        matrix.LogScale.copy_(Matrix.LogScale);
        matrix.LogRows.copy_(Matrix.LogRows);
        matrix.Divisors[0].copy_(u * s);
        matrix.Divisors[1].copy_(vt);
        low.Soft().ShouldBeNear(trainable.Soft(), 1e-12);
    }

    private LayerReconstructionResult Train(FlexRoundWeight weights, Expression start, int steps) => LayerReconstruction.Run(
        weights, start, weight, x, new() { Steps = steps });

    private GridGeometry Geometry => GridGeometry.For(step, weight.shape[0], weight.shape[1]);

    private FlexRoundGrid Grid() => FlexRoundGrid.Of(golden["in.weight"], Geometry, float64, step.RangeSearch);

    private void GoToPoint()
    {
        using var gradients = no_grad();
        Matrix.LogScale.copy_(golden["in.point.log_s1"] - Grid().Scales.log());
        Matrix.Divisors[0].copy_(golden["in.point.log_S2"]);
        Matrix.LogRows.copy_(golden["in.point.log_s3"]);
    }

    private Tensor RoundedTo(Tensor scales, Tensor? points)
    {
        var (low, high) = CodeRange(points);
        return scales * minimum(maximum((weight / scales).round(), low), high);
    }

    private (Tensor Low, Tensor High) CodeRange(Tensor? points)
    {
        var zero = points ?? zeros(1, 1, dtype: float64);
        return (Geometry.Lowest - zero, Geometry.Highest - zero);
    }

    private static double Distance(Tensor a, Tensor b) => (a - b).abs().max().item<double>();
}
