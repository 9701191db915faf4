using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Quantization;

public sealed class FlexRoundTests
{
    private const int Rows = 6;
    private const int Columns = 18;

    public static TheoryData<string, FlexRound> Steps => new()
    {
        { "channel", new() { Bits = 3 } },
        { "symmetric", new() { Bits = 4, Symmetric = true } },
        { "tensor", new() { Bits = 4, Granularity = Granularity.Tensor } },
        { "groups that do not divide the width", new() { Bits = 3, Granularity = Granularity.Group, GroupSize = 7, ScaleType = ScaleType.Float32 } },
        { "searched", new() { Bits = 3, RangeSearch = true } },
        { "low rank", new() { Bits = 3, Form = FlexRoundForm.Lrq } },
    };

    [Theory]
    [MemberData(nameof(Steps))]
    public void Training_lowers_the_output_error_and_what_is_trained_is_what_is_stored(string name, FlexRound step)
    {
        name.ShouldNotBeEmpty();
        using var scope = NewDisposeScope();
        var (problem, solver) = (Problem(Weight()), new FlexRoundSolver());
        var start = solver.Solve(problem, step);
        using var trainable = solver.Start(problem, step, start);
        using (no_grad())
        {
            trainable.Soft().ShouldBeNear(start.Weight.Materialize(), 1e-6);
        }

        var x = LayerProblems.Inputs(Columns).reshape(-1, Columns);
        var result = LayerReconstruction.Run(trainable, start.Weight, Weight(), x, new() { Steps = 120, Checkpoints = 120 });
        result.BestLoss.ShouldBeLessThan(result.StartLoss);
        OutputError.On(Weight(), x).Measure([new(result.Best!.Materialize(), null)]).ShouldBeNear(result.BestLoss, 1e-9);
        using var last = trainable.Harden();
        using (no_grad())
        {
            last.Materialize().ShouldBeNear(trainable.Soft(), 1e-6);
        }

        result.Best.Dispose();
        start.Weight.Dispose();
    }

    [Fact]
    public void A_grid_that_is_not_symmetric_starts_as_rounding_to_nearest_does()
    {
        using var scope = NewDisposeScope();
        var start = new FlexRoundSolver().Solve(Problem(Weight()), new FlexRound { Bits = 3 });
        var plain = new RoundToNearestSolver().Solve(Problem(Weight()), new Quantize { Bits = 3, Symmetric = false, Granularity = Granularity.Channel });
        start.Weight.Materialize().ShouldBeNear(plain.Weight.Materialize(), 0);
        start.Release();
        plain.Release();
    }

    [Fact]
    public void A_searched_range_never_has_the_larger_error()
    {
        using var scope = NewDisposeScope();
        foreach (bool symmetric in new[] { true, false })
        {
            var geometry = new GridGeometry(Rows, Columns, 3, symmetric, Granularity.Channel, 1);
            double plain = Error(FlexRoundGrid.Of(Weight(), geometry, float64, search: false), geometry);
            Error(FlexRoundGrid.Of(Weight(), geometry, float64, search: true), geometry).ShouldBeLessThan(plain);
        }
    }

    [Fact]
    public void A_row_of_zeros_stays_zero_and_a_constant_one_is_kept()
    {
        using var scope = NewDisposeScope();
        var weight = Weight().to(float32);
        weight[0].zero_();
        weight[1].fill_(0.75f);
        foreach (bool search in new[] { false, true })
        {
            var solution = new FlexRoundSolver().Solve(Problem(weight), new FlexRound { Bits = 4, RangeSearch = search, ScaleType = ScaleType.Float32 });
            var stored = solution.Weight.Materialize();
            stored[0].abs().max().item<float>().ShouldBe(0);
            stored[1].ShouldBeNear(weight[1], 1e-6);
            solution.Release();
        }
    }

    [Fact]
    public void Not_a_number_and_a_scale_that_does_not_fit_are_refused()
    {
        using var scope = NewDisposeScope();
        var broken = Weight();
        broken[2, 3] = double.NaN;
        Should.Throw<InvalidOperationException>(() => new FlexRoundSolver().Solve(Problem(broken), new FlexRound())).Message.ShouldContain("NaN");
        Should.Throw<InvalidOperationException>(() => new FlexRoundSolver().Solve(Problem(Weight() * 1e6), new FlexRound { Bits = 2 })).Message.ShouldContain("scaleType: float32");
    }

    [Fact]
    public void A_convolution_learns_a_divisor_an_input_channel()
    {
        using var scope = NewDisposeScope();
        var problem = Problem(Weight()) with { Shape = new(LayerKinds.Conv2d, Rows, Columns) { Kernel = new(3, 3, 1) } };
        using var trainable = new FlexRoundWeight(problem, new() { Bits = 3 });
        trainable.Matrices[0].LogColumns!.shape.ShouldBe([1, 2]);
        using var noGradients = no_grad();
        trainable.Matrices[0].LogColumns![0, 1] = 5;
        trainable.Soft().narrow(1, 9, 9).abs().max().item<float>().ShouldBe(0);
    }

    [Fact]
    public void The_learned_numbers_of_low_rank_are_those_of_the_paper()
    {
        using var scope = NewDisposeScope();
        using var trainable = new FlexRoundWeight(Problem(Weight()), new() { Form = FlexRoundForm.Lrq, LrqRank = 2 });
        trainable.Matrices[0].Divisors.Sum(tensor => tensor.numel()).ShouldBe(2 * (Rows + Columns));
        trainable.Groups.Sum(group => group.Tensors.Sum(tensor => tensor.numel())).ShouldBe((2 * (Rows + Columns)) + Rows + Columns + Rows);
    }

    private static Tensor Weight() => LayerProblems.Weight(Rows, Columns);

    private static LayerProblem Problem(Tensor weight) => new("fc", new Dense(weight.to(float32, copy: true)), null, LayerStatistics.None, 3);

    private static double Error(FlexRoundGrid grid, GridGeometry geometry)
    {
        var zero = grid.Zeros ?? zeros(1, 1, dtype: float64);
        var steps = minimum(maximum((Weight() / grid.Scales).round(), geometry.Lowest - zero), geometry.Highest - zero);
        return (Weight() - (steps * grid.Scales)).abs().pow(2.4).mean().item<double>();
    }
}
