using System.Globalization;
using System.Text.RegularExpressions;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>decoupleQ against the published code run in float64; the checks of its page that need golden data.</summary>
[Trait("Category", "Golden")]
public sealed class DecoupleQGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("decoupleq");
    private readonly Tensor weight;
    private readonly Tensor metric;

    public DecoupleQGoldenTests()
    {
        weight = golden["in.weight"];
        metric = golden["out.H_damped"];
    }

    [Fact]
    public void The_metric_is_the_damped_mean_of_squared_inputs()
    {
        var x = golden["in.x"];
        var mean = x.mT.mm(x) / x.shape[0];
        mean.ShouldBeNear(golden["out.H"], 1e-12);
        DecoupledMatrix.Damp(mean, golden.Number("percdamp")).ShouldBeNear(metric, 1e-12);
    }

    [Fact]
    public void The_start_spans_each_group()
    {
        foreach (var variant in Variants())
        {
            var rows = variant.Decoupling().Start();
            rows.Scales.ShouldBeNear(golden[variant.Prefix + "minmax_scale"], 1e-12);
            rows.Offsets.ShouldBeNear(golden[variant.Prefix + "minmax_zero"], 1e-12);
            rows.Losses.ShouldBeNear(golden[variant.Prefix + "minmax_loss_per_row"], 1e-10);
        }
    }

    [Fact]
    public void Losses_and_weights_equal_the_reference()
    {
        foreach (var variant in Variants())
        {
            var (rows, trace) = variant.Solve();
            var expected = golden[variant.Prefix + "loss_per_row"];
            if (variant.Step.Rounding == DecoupleRounding.Train)
            {
                rows.Losses.sum().item<double>().ShouldBeNear(expected.sum().item<double>(), 0.02);
            }
            else
            {
                rows.Losses.ShouldBeNear(expected, 1e-5);
                rows.Codes.eq(golden[variant.Prefix + "w_int"].to(int16)).all().item<bool>().ShouldBeTrue(variant.Prefix);
                rows.Scales.ShouldBeNear(golden[variant.Prefix + "scale"], 1e-7);
                rows.Offsets.ShouldBeNear(golden[variant.Prefix + "zero"], 1e-7);
            }

            (rows.Losses <= golden[variant.Prefix + "minmax_loss_per_row"]).all().item<bool>().ShouldBeTrue(variant.Prefix);
            foreach (var (before, after) in trace.Zip(trace.Skip(1)))
            {
                (after <= before).all().item<bool>().ShouldBeTrue(variant.Prefix);
            }
        }
    }

    [Fact]
    public void The_loss_of_the_reference_is_that_of_its_weight()
    {
        foreach (var variant in Variants())
        {
            var error = golden[variant.Prefix + "weight_hat"] - weight;
            (error.mm(metric) * error).sum([1L]).ShouldBeNear(golden[variant.Prefix + "loss_per_row"], 1e-6);
            var rated = variant.Matrix().Rate(golden[variant.Prefix + "w_int"].to(int16), golden[variant.Prefix + "scale"], golden[variant.Prefix + "zero"]);
            rated.Losses.ShouldBeNear(golden[variant.Prefix + "loss_per_row"], 1e-6);
        }
    }

    [Fact]
    public void Codes_of_a_given_grid_equal_the_reference()
    {
        var (matrix, scales, offsets) = Component();
        var order = matrix.Order(byStrength: false);
        var rounded = matrix.Rate(new SecondLevelRounding(matrix, order).Round(scales, offsets), scales, offsets);
        rounded.Codes.eq(golden["out.comp.gptq_int"].to(int16)).all().item<bool>().ShouldBeTrue();
        rounded.Losses.ShouldBeNear(golden["out.comp.gptq_loss"], 1e-8);

        var steps = new DecoupleQ { RelaxationSteps = 20, StepsPerColumn = 5, RelaxationRate = 1e-3 };
        var trained = matrix.Rate(new FirstLevelRounding(matrix, order, steps).Round(scales, offsets), scales, offsets);
        trained.Losses.sum().item<double>().ShouldBeNear(golden.Scalar("out.comp.train_loss"), 0.02);
    }

    [Fact]
    public void The_grid_of_given_codes_equals_the_reference_and_no_other_is_better()
    {
        var (matrix, scales, offsets) = Component();
        var rounded = matrix.Rate(golden["out.comp.gptq_int"].to(int16), scales, offsets);
        var (fitted, shifted) = new ClosedFormGrid(matrix).Fit(rounded);
        fitted.ShouldBeNear(golden["out.comp.ls_scale"], 1e-7);
        shifted.ShouldBeNear(golden["out.comp.ls_zero"], 1e-7);
        var best = matrix.Rate(rounded.Codes, fitted, shifted);
        best.Losses.ShouldBeNear(golden["out.comp.ls_loss"], 1e-7);
        (best.Losses <= rounded.Losses).all().item<bool>().ShouldBeTrue();

        // The gradient in s and z: the error times H, summed over a group against codes and against ones.
        var values = matrix.Spread(fitted, 0, weight.shape[0]) * rounded.Codes.to(float64) + matrix.Spread(shifted, 0, weight.shape[0]);
        var slope = (values - weight).mm(metric);
        double scale = Compare.Norm(matrix.Pull);
        foreach (var gradient in new[] { matrix.GroupSums(slope * rounded.Codes), matrix.GroupSums(slope) })
        {
            gradient.abs().max().item<double>().ShouldBeLessThanOrEqualTo(1e-8 * scale);
        }

        foreach (double change in new[] { -1e-3, 1e-3 })
        {
            (best.Losses <= matrix.Rate(rounded.Codes, fitted + change, shifted).Losses).all().item<bool>().ShouldBeTrue();
            (best.Losses <= matrix.Rate(rounded.Codes, fitted, shifted + change).Losses).all().item<bool>().ShouldBeTrue();
        }
    }

    [Fact]
    public void No_iteration_rounds_to_nearest_and_one_iteration_adds_the_first_rounding()
    {
        foreach (var variant in Variants())
        {
            var matrix = variant.Matrix();
            var start = new Decoupling(matrix, variant.Step).Start();
            var (none, _) = variant.Solve(iterations: 0);
            Compare.SameBits(none.Codes, start.Codes).ShouldBeTrue();
            none.Losses.ShouldBeNear(golden[variant.Prefix + "minmax_loss_per_row"], 1e-10);

            var (one, _) = variant.Solve(iterations: 1);
            var order = matrix.Order(variant.Step.ActivationOrder);
            var codes = new SecondLevelRounding(matrix, order).Round(start.Scales, start.Offsets);
            var expected = start.Adopt(matrix.Rate(codes, start.Scales, start.Offsets)).Rows;
            Compare.SameBits(one.Codes, expected.Codes).ShouldBeTrue();
            (one.Losses <= none.Losses).all().item<bool>().ShouldBeTrue();
        }
    }

    private (DecoupledMatrix Matrix, Tensor Scales, Tensor Offsets) Component()
    {
        var scales = golden["in.comp.scale"];
        var grid = new GridGeometry(weight.shape[0], weight.shape[1], golden.Integer("bits"), true, Granularity.Group, (int)(weight.shape[1] / scales.shape[1]));
        return (new(weight, metric, grid, symmetric: false), scales, golden["in.comp.zero"]);
    }

    private IEnumerable<Variant> Variants() => golden.Variants("out.")
        .Where(name => golden.Has($"out.{name}.loss_per_row"))
        .Select(name => new Variant(golden, name));

    /// <summary>One of the settings that a file covers; the metadata writes them as a Python dictionary.</summary>
    private sealed class Variant(GoldenFile golden, string name)
    {
        private readonly string settings = Regex.Match(golden.Setting("cfgs"), $"'{Regex.Escape(name)}': {{(.*?)}}").Groups[1].Value;

        public string Prefix => $"out.{name}.";

        public DecoupleQ Step => new()
        {
            Bits = golden.Integer("bits"),
            Granularity = GroupSize < 0 ? Granularity.Channel : Granularity.Group,
            GroupSize = Math.Max(GroupSize, 2),
            Iterations = (int)Number("max_iter"),
            Rounding = Text("fn") == "train" ? DecoupleRounding.Train : DecoupleRounding.Gptq,
            ActivationOrder = bool.Parse(golden.Setting("actorder")),
            Damping = golden.Number("percdamp"),
            RelaxationSteps = (int)Number("before"),
            StepsPerColumn = (int)Number("inner"),
            RelaxationRate = Number("lr"),
        };

        private int GroupSize => (int)Number("gs");

        public DecoupledMatrix Matrix()
        {
            var weight = golden["in.weight"];
            return new(weight, golden["out.H_damped"], new(weight.shape[0], weight.shape[1], Step.Bits, true, Step.Granularity, Step.GroupSize), symmetric: false);
        }

        public Decoupling Decoupling() => new(Matrix(), Step);

        public (DecoupledRows Rows, IReadOnlyList<Tensor> Trace) Solve(int? iterations = null)
        {
            var matrix = Matrix();
            var step = Step;
            step.Iterations = iterations ?? step.Iterations;
            var decoupling = new Decoupling(matrix, step);
            return (decoupling.Run(), decoupling.Trace);
        }

        private double Number(string setting) => double.Parse(Text(setting), CultureInfo.InvariantCulture);

        private string Text(string setting) => Regex.Match(settings, $"'{setting}': '?([^,']+)").Groups[1].Value;
    }
}
