using System.Globalization;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>PowerQuant and NUPES against the float64 reference; checks 1 to 8 of their page.</summary>
[Trait("Category", "Golden")]
public sealed class NupesGoldenTests : IDisposable
{
    /// <summary>Steps over which two roundings of the same sums stay together.</summary>
    private const int TightSteps = 10;

    private readonly GoldenFile golden = GoldenFile.Open("nupes");
    private readonly List<IDisposable> owned = [];

    public static TheoryData<string> Variants => [.. GoldenFile.Open("nupes").Variants("out.").Where(name => name.StartsWith('b'))];

    private Tensor First => golden["in.weight_0"];

    private double StartExponent => golden.Scalar("in.grad.a");

    public void Dispose() => owned.ForEach(item => item.Dispose());

    [Theory]
    [MemberData(nameof(Variants))]
    public void Errors_of_one_exponent_for_all_weights_and_the_best_are_those_of_the_reference(string bits)
    {
        var best = Search(bits);
        best.Exponents.ToArray().ShouldBeNear(golden["out.grid_a"], 1e-14);
        foreach (var (error, expected) in best.Errors.Zip(golden[$"out.{bits}.grid_error"].data<double>().ToArray()))
        {
            error.ShouldBeNear(expected, 1e-10);
        }

        (best.Value - golden.Scalar($"out.{bits}.best_a")).ShouldBeInRange(-1.0001e-4, 1.0001e-4);
        best.Error.ShouldBeNear(golden.Scalar($"out.{bits}.best_error"), 1e-9);
        double uniform = Grids(bits).Sum(grid => grid.Error(1, 2));
        uniform.ShouldBeNear(golden.Scalar($"out.{bits}.uniform_error"), 1e-10);
        best.Error.ShouldBeLessThanOrEqualTo(uniform);
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void Codes_and_values_at_the_best_exponent_equal_the_reference(string bits)
    {
        var grid = Grids(bits)[0];
        double exponent = golden.Scalar($"out.{bits}.best_a");
        var codes = grid.Codes(exponent);
        codes.to(int64).eq(golden[$"out.{bits}.codes_0"].to(int64)).all().item<bool>().ShouldBeTrue();
        grid.Dequantize(codes, exponent).ShouldBeNear(golden[$"out.{bits}.weight_hat_0"], 1e-12);
        using var stored = grid.Store(codes, exponent);
        stored.Materialize().ShouldBeNear(golden[$"out.{bits}.weight_hat_0"], 1e-6);
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void Exponent_one_is_a_uniform_grid(string bits)
    {
        var grid = Grids(bits)[0];
        var steps = First.abs().amax([1], keepdim: true) / grid.Highest;
        Compare.SameBits(grid.Codes(1).to(int16), (First / steps).round().to(int16)).ShouldBeTrue();
        grid.Dequantize(grid.Codes(1), 1).ShouldBeNear((First / steps).round() * steps, 1e-14);
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void Largest_values_zeros_signs_and_codes_come_back_for_every_exponent(string bits)
    {
        var weight = First;
        weight[0, 0] = 0;
        var grid = Grid(weight, bits);
        var largest = weight.abs().amax([1], keepdim: true);
        foreach (double exponent in new[] { 0.2, 0.37, 0.5, 0.8, 1, 1.3, 2 })
        {
            var codes = grid.Codes(exponent);
            var values = grid.Dequantize(codes, exponent);
            var top = weight.abs().eq(largest);
            codes.masked_select(top).abs().eq(grid.Highest).all().item<bool>().ShouldBeTrue();
            ((values - weight).abs() <= 1e-15 * largest).masked_select(top).all().item<bool>().ShouldBeTrue();
            values[0, 0].item<double>().ShouldBe(0);
            (values * weight >= 0).all().item<bool>().ShouldBeTrue();
            using var again = Grid(values, bits);
            Compare.SameBits(again.Codes(exponent).to(int16), codes.to(int16)).ShouldBeTrue();
        }
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void A_scaled_weight_has_the_same_codes_and_exponent_and_a_scaled_error(string bits)
    {
        const double Factor = 8;
        var grid = Grids(bits)[0];
        var scaled = Grid(First * Factor, bits);
        var (best, other) = (PowerExponent.Search(a => grid.Error(a, 2), 0.2, 1.2), PowerExponent.Search(a => scaled.Error(a, 2), 0.2, 1.2));
        other.Value.ShouldBe(best.Value);
        other.Error.ShouldBeNear(best.Error * Factor, 1e-12);
        Compare.SameBits(scaled.Codes(best.Value), grid.Codes(best.Value)).ShouldBeTrue();
    }

    [Fact]
    public void More_bits_never_raise_the_best_error()
    {
        double[] errors = [.. Enumerable.Range(2, 7).Select(bits => Search($"b{bits}").Error)];
        errors.Zip(errors.Skip(1)).ShouldAllBe(pair => pair.Second <= pair.First);
    }

    [Fact]
    public void Loss_and_gradients_equal_the_reference()
    {
        var (weight, matrix) = Start();
        var soft = weight.Soft();
        var error = Objective().Differentiate(0, [new(soft.detach(), null)]);
        error.Loss.ShouldBeNear(golden.Scalar("out.grad.loss"), 1e-10);
        autograd.backward([soft], [error.Gradients[0].Weight!]);
        matrix.Latent.grad!.ShouldBeNear(golden["out.grad.V"], 1e-9);
        matrix.Exponent.grad!.item<double>().ShouldBeNear(golden.Scalar("out.grad.a"), 1e-9);
    }

    [Fact]
    public void The_gradient_of_the_exponent_is_the_difference_quotient_at_fixed_codes()
    {
        const double Reach = 1e-5;
        var (weight, matrix) = Start();
        var soft = weight.Soft();
        var probe = randn(soft.shape, dtype: float64, generator: new Generator(5));
        autograd.backward([soft], [probe]);
        var grid = Grids(Bits)[0];
        var codes = grid.Codes(StartExponent);
        var quotient = (grid.Dequantize(codes, StartExponent + Reach) - grid.Dequantize(codes, StartExponent - Reach)) / (2 * Reach);
        matrix.Exponent.grad!.item<double>().ShouldBeNear((quotient * probe).sum().item<double>(), 1e-5);
    }

    [Fact]
    public void Training_follows_the_reference_and_ends_below_the_start()
    {
        var (weight, matrix) = Start();
        int steps = golden.Integer("steps");
        using var start = weight.Harden();
        var settings = new ReconstructionSettings { Steps = steps, Schedule = RateSchedule.Constant, Checkpoints = steps };
        var result = LayerReconstruction.Run(weight, start, First, golden["in.x"], settings);
        double[] losses = golden["out.train.losses"].data<double>().ToArray();
        for (int i = 0; i < TightSteps; i++)
        {
            result.Losses[i].ShouldBeNear(losses[i], 1e-9);
        }

        result.StartLoss.ShouldBeNear(losses[0], 1e-4);
        result.BestLoss.ShouldBeLessThan(result.StartLoss);
        result.BestLoss.ShouldBeLessThanOrEqualTo(golden.Scalar("out.train.best_loss") * 1.4);
        matrix.Exponent.item<double>().ShouldBeInRange(0.1, 2);
        owned.Add(result.Best!);
        Objective().Measure([new(result.Best!.Materialize(), null)]).ShouldBeNear(result.BestLoss, 1e-9);
    }

    private string Bits => $"b{golden.Integer("bits")}";

    private OutputError Objective() => OutputError.On(First, golden["in.x"]);

    private PowerExponent Search(string bits)
    {
        var grids = Grids(bits);
        return PowerExponent.Search(a => grids.Sum(grid => grid.Error(a, 2)), 0.2, 1.2);
    }

    private List<PowerGrid> Grids(string bits) =>
        [.. golden.Names.Where(name => name.StartsWith("in.weight_", StringComparison.Ordinal)).Order(StringComparer.Ordinal).Select(name => Grid(golden[name], bits))];

    private PowerGrid Grid(Tensor weight, string bits)
    {
        var grid = new PowerGrid(weight, new PowerQuant { Bits = int.Parse(bits[1..], CultureInfo.InvariantCulture) }, float64);
        owned.Add(grid);
        return grid;
    }

    private (NupesWeight Weight, NupesMatrix Matrix) Start()
    {
        var step = new Nupes { Bits = golden.Integer("bits"), LearningRate = golden.Number("lr_codes"), ExponentLearningRate = golden.Number("lr_a") };
        using var dense = new Dense(First);
        var weight = new NupesWeight(dense, step, matrix => new(new PowerGrid(matrix.Matrix, step, float64), StartExponent, float64));
        owned.Add(weight);
        return (weight, weight.Matrices[0]);
    }
}
