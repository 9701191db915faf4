using System.Globalization;
using System.Runtime.InteropServices;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Nunchaku;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>SVDQuant against the float64 reference and the published packer; checks 1 to 8 of its page.</summary>
[Trait("Category", "Golden")]
public sealed class SvdQuantGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("svdquant");

    public static TheoryData<FourBitFormat> Formats => [.. Enum.GetValues<FourBitFormat>()];

    [Theory]
    [MemberData(nameof(Formats))]
    public void Candidates_errors_and_choices_are_those_of_the_reference(FourBitFormat format)
    {
        var result = Run(format);
        string prefix = Out(format);
        Weight(format).abs().amax([0]).ShouldBeNear(golden[prefix + "w_absmax"], 0);
        Inputs(format).abs().amax([0]).ShouldBeNear(golden[prefix + "x_absmax"], 0);
        Smoothing.Candidates(Step(format)).SelectMany(pair => new[] { pair.Alpha, pair.Beta }).ToArray().ShouldBeNear(golden[prefix + "alpha_beta_pairs"].flatten(), 1e-15);
        EachNear(result.SmoothingErrors, golden[prefix + "grid_errors"], 1e-7);
        EachNear(result.IterationErrors, golden[prefix + "iter_errors"], 1e-7);
        result.BestSmoothing.ShouldBe((int)golden.Scalar(prefix + "best_index"));
        result.BestIteration.ShouldBe((int)golden.Scalar(prefix + "best_iter"));
        result.Layer.Reciprocal.reciprocal().ShouldBeNear(golden[prefix + "smooth"], 1e-12);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Errors_fall_from_plain_rounding_over_smoothing_to_the_branch(FourBitFormat format)
    {
        var search = Search(format);
        var result = search.Run();
        var plain = search.Smooth((0, 0));
        var grids = Grids(format);
        double[] errors = [plain.Error(null, grids.Round(plain.Weight)), result.SmoothedError, result.Layer.Error(result.Branch, grids.Round(result.Residual))];
        EachNear(errors, golden[Out(format) + "errors_naive_smooth_final"], 1e-9);
        errors[2].ShouldBeLessThanOrEqualTo(result.IterationErrors[0]);
        result.IterationErrors[0].ShouldBeLessThanOrEqualTo(errors[1]);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void The_branch_and_its_spectrum_are_those_of_the_reference(FourBitFormat format)
    {
        var result = Run(format);
        string prefix = Out(format);
        (result.Branch.Product - golden[prefix + "lowrank_product"]).abs().max().item<double>().ShouldBeLessThanOrEqualTo(1e-8);
        var factors = result.Branch.Stored!;
        factors.B.mm(factors.A / result.Layer.Reciprocal).ShouldBeNear(golden[prefix + "lora_up"].mm(golden[prefix + "lora_down"]), 1e-8);

        var first = result.Layer.Branch(result.Layer.Weight, Step(format), 0);
        first.Spectrum.ShouldBeNear(golden[prefix + "singular_values_weight_smoothed"], 1e-10);
        double tail = first.Spectrum.Skip(Step(format).Rank).Sum(value => value * value);
        Math.Pow(Compare.Norm(result.Layer.Weight - first.Product), 2).ShouldBeNear(tail, 1e-10);

        var expected = golden[prefix + "y_hat_first8"];
        var x = Inputs(format).narrow(0, 0, expected.shape[0]);
        var rounded = Grids(format).Inputs!.Round(x * result.Layer.Reciprocal).mm(Grids(format).Round(result.Residual).mT);
        (x.mm(factors.A.mT).mm(factors.B.mT) + rounded).ShouldBeNear(expected, 1e-9);
    }

    [Fact]
    public void Integer_codes_and_scales_of_weights_and_inputs_equal_the_reference()
    {
        var result = Run(FourBitFormat.Int4);
        var weights = Grids(FourBitFormat.Int4).Quantize(result.Residual).Codes;
        SameCodes(weights.Codes, golden["out.qweight"]);
        weights.Scales.ShouldBeNear(golden["out.wscales"], 1e-9);

        var inputs = Grids(FourBitFormat.Int4).Inputs!.Quantize(result.Layer.Inputs, float64);
        SameCodes(inputs.Codes, golden["out.act_codes"]);
        inputs.Scales.ShouldBeNear(golden["out.act_scales"], 1e-12);

        var unsigned = new DynamicGrid(DynamicFormat.Int4Unsigned, Step(FourBitFormat.Int4).Group).Quantize(golden["in.x"].relu(), float64);
        SameCodes(unsigned.Codes, golden["out.unsigned_act_codes_of_relu_x"]);
        unsigned.Scales.ShouldBeNear(golden["out.unsigned_act_scales_of_relu_x"], 1e-12);
    }

    [Fact]
    public void Integer_codes_span_their_group_and_move_no_value_by_more_than_half_a_step()
    {
        var grids = Grids(FourBitFormat.Int4);
        var residual = Run(FourBitFormat.Int4).Residual;
        var codes = grids.Quantize(residual).Codes;
        codes.Codes.abs().max().item<short>().ShouldBeLessThanOrEqualTo((short)7);
        for (long first = 0, group = 0; first < residual.shape[1]; first += grids.Weights.GroupSize, group++)
        {
            long length = Math.Min(grids.Weights.GroupSize, residual.shape[1] - first);
            codes.Codes.narrow(1, first, length).abs().amax([1]).eq(7).all().item<bool>().ShouldBeTrue();
            var error = (grids.Round(residual) - residual).narrow(1, first, length).abs().amax([1]);
            (error <= codes.Scales.select(1, group) / 2 * (1 + 1e-12)).all().item<bool>().ShouldBeTrue();
        }
    }

    [Fact]
    public void Float_codes_and_scale_bytes_of_weights_and_inputs_equal_the_reference()
    {
        var result = Run(FourBitFormat.Nvfp4);
        var grids = Grids(FourBitFormat.Nvfp4);
        var (weights, unit) = grids.Quantize(result.Residual);
        SameCodes(weights.Codes, golden["out.nv.fp4_codes"]);
        SameCodes(MiniFloat.E4M3.Encode(weights.Relative), golden["out.nv.scale_e4m3_bytes"]);
        unit.ShouldBeNear(golden.Scalar("out.nv.global_scale"), 1e-12);
        grids.Round(result.Residual).ShouldBeNear(golden["out.nv.weight_dequant"], 1e-12);

        var inputs = grids.Inputs!.Quantize(result.Layer.Inputs, float64);
        SameCodes(inputs.Codes, golden["out.nv.act_fp4_codes"]);
        SameCodes(MiniFloat.E4M3.Encode(inputs.Scales), golden["out.nv.act_scale_e4m3_bytes"]);
        grids.Inputs.Round(result.Layer.Inputs).ShouldBeNear(golden["out.nv.act_dequant"], 1e-12);
    }

    [Fact]
    public void Small_floats_round_as_the_reference_does()
    {
        MiniFloat.E4M3.Round(golden["in.e4m3_probe"]).ShouldBeNear(golden["out.e4m3_value"], 0);
        SameCodes(MiniFloat.E4M3.Encode(golden["in.e4m3_probe"]), golden["out.e4m3_byte"]);
        MiniFloat.E4M3.Decode(golden["out.e4m3_byte"]).ShouldBeNear(golden["out.e4m3_value"], 0);
        MiniFloat.E2M1.Round(golden["in.e2m1_probe"]).ShouldBeNear(golden["out.e2m1_value"], 0);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Without_rounding_every_smoothing_and_rank_is_the_layer_itself(FourBitFormat format)
    {
        var exact = Inputs(format).mm(Weight(format).mT);
        foreach (int rank in new[] { 0, 1, Step(format).Rank })
        {
            var step = Step(format, rank);
            step.ActivationBits = 0;
            var search = new SvdQuantSearch(Weight(format), Inputs(format), Inputs(format).abs().amax([0]), FourBitGrids.Of(step, float64), step, 0);
            foreach (var exponents in Smoothing.Candidates(step))
            {
                using var scope = NewDisposeScope();
                var layer = search.Smooth(exponents);
                var branch = layer.Branch(layer.Weight, step, 0);
                layer.Inputs.mm((layer.Weight - branch.Product).mT).add(layer.Inputs.mm(branch.Product.mT)).ShouldBeNear(exact, 1e-10);
                layer.Error(branch, layer.Weight - branch.Product).ShouldBeLessThanOrEqualTo(1e-20 * search.Energy);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_branch_of_full_rank_leaves_nothing_to_round(FourBitFormat format)
    {
        var step = Step(format, (int)Math.Min(Weight(format).shape[0], Weight(format).shape[1]));
        var search = Search(format, step);
        var result = search.Run();
        result.Residual.abs().max().item<double>().ShouldBeLessThanOrEqualTo(1e-12 * result.Layer.Weight.abs().max().item<double>());
        result.Layer.Error(result.Branch, Grids(format).Round(result.Residual)).ShouldBeLessThanOrEqualTo(1e-18 * search.Energy);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_branch_of_rank_zero_is_smoothing_and_rounding(FourBitFormat format)
    {
        var result = Search(format, Step(format, rank: 0)).Run();
        result.IterationErrors.ShouldBe([result.SmoothedError]);
        result.SmoothingErrors[result.BestSmoothing].ShouldBe(result.SmoothedError);
        Compare.SameBits(result.Residual, result.Layer.Weight).ShouldBeTrue();
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void An_input_that_grows_as_its_weights_shrink_changes_no_balanced_candidate(FourBitFormat format)
    {
        var factor = ones(Weight(format).shape[1], dtype: float64);
        factor[1] = 16;
        var (weight, inputs) = (Weight(format) / factor, Inputs(format) * factor);
        inputs.mm(weight.mT).ShouldBeNear(Inputs(format).mm(Weight(format).mT), 1e-14);
        var step = Step(format);
        step.Smoothing = SmoothingFamily.Balanced;
        var scaled = new SvdQuantSearch(weight, inputs, inputs.abs().amax([0]), Grids(format), step, 0).Run();
        var plain = Search(format, step).Run();

        // The first candidate is no smoothing, whose exponents do not add up to one.
        foreach (var (a, b) in scaled.SmoothingErrors.Zip(plain.SmoothingErrors).Skip(1))
        {
            a.ShouldBeNear(b, 1e-9);
        }

        foreach (var (alpha, beta) in Smoothing.Candidates(step).Skip(1))
        {
            var before = Smoothing.Vector(Inputs(format).abs().amax([0]), Weight(format).abs().amax([0]), alpha, beta);
            Smoothing.Vector(inputs.abs().amax([0]), weight.abs().amax([0]), alpha, beta).ShouldBeNear(before * factor, 1e-12);
        }
    }

    [Fact]
    public void Packed_codes_scales_and_factors_equal_the_published_packer_and_unpack()
    {
        var codes = golden["in.pack.q"];
        var (rows, columns) = ((int)codes.shape[0], (int)codes.shape[1]);
        var plain = MemoryMarshal.Cast<byte, sbyte>(codes.bytes);
        byte[] packed = MmaPacking.PackCodes(plain, rows, columns);
        packed.AsSpan().SequenceEqual(golden["out.pack.qweight"].bytes).ShouldBeTrue();
        MmaPacking.UnpackCodes(packed, rows, columns, signed: true).AsSpan().SequenceEqual(plain).ShouldBeTrue();

        var scales = golden["in.pack.scale"];
        int groups = (int)(scales.numel() / rows);
        var values = MemoryMarshal.Cast<byte, Half>(scales.bytes);
        var moved = MmaPacking.PackScales(values, rows, groups, columns / groups, Half.One);
        MemoryMarshal.AsBytes<Half>(moved).SequenceEqual(golden["out.pack.wscales"].bytes).ShouldBeTrue();
        MmaPacking.UnpackScales<Half>(moved, rows, groups, columns / groups).AsSpan().SequenceEqual(values).ShouldBeTrue();

        foreach (bool lower in new[] { true, false })
        {
            string name = lower ? "lora_down" : "lora_up";
            var factor = golden["in.pack." + name];
            var (channels, rank) = lower ? ((int)factor.shape[1], (int)factor.shape[0]) : ((int)factor.shape[0], (int)factor.shape[1]);
            var entries = MemoryMarshal.Cast<byte, Half>(factor.bytes);
            var tiles = MmaPacking.PackFactor(entries, channels, rank, lower);
            MemoryMarshal.AsBytes<Half>(tiles).SequenceEqual(golden["out.pack." + name].bytes).ShouldBeTrue(name);
            MmaPacking.UnpackFactor<Half>(tiles, channels, rank, lower).AsSpan().SequenceEqual(entries).ShouldBeTrue(name);
        }
    }

    [Fact]
    public void A_shift_with_a_corrected_bias_computes_what_no_shift_does()
    {
        var (weight, x) = (Weight(FourBitFormat.Int4), nn.functional.gelu(Inputs(FourBitFormat.Int4)));
        var bias = weight.select(1, 0).clone();
        (x + InputShift.Gelu).min().item<double>().ShouldBeGreaterThanOrEqualTo(0);
        nn.functional.linear(x + InputShift.Gelu, weight, InputShift.CorrectBias(bias, weight, InputShift.Gelu)).ShouldBeNear(nn.functional.linear(x, weight, bias), 1e-10);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void The_solver_stores_what_the_search_found(FourBitFormat format)
    {
        var step = Step(format);
        step.ScaleType = ScaleType.Float32;
        var x = Inputs(format);
        var statistics = new LayerStatistics { InputSamples = x.to(float32), InputMagnitudes = new(x.abs().mean([0]), x.abs().amax([0])) };
        var solution = new SvdQuantSolver().Solve(new LayerProblem("fc", new Dense(Weight(format)), null, statistics, 0), step);
        var exact = x.mm(Weight(format).mT);
        double error = Math.Pow(Compare.Norm(solution.Weight.Apply(x) - exact) / Compare.Norm(exact), 2);
        error.ShouldBeNear(solution.Facts["outputError"], 1e-3);
        solution.Weight.Bytes.ShouldBe(step.Predict(new(LayerKinds.Linear, exact.shape[1], x.shape[1]), []).Sum(cost => cost.Bytes));
        solution.Facts["outputError"].ShouldBeLessThan(solution.Facts["roundedOutputError"]);
        error.ShouldBeNear(golden[Out(format) + "errors_naive_smooth_final"][2].item<double>() / Math.Pow(Compare.Norm(exact), 2), 0.2);
    }

    private static string Prefix(FourBitFormat format) => format == FourBitFormat.Nvfp4 ? "nv." : "";

    private static string Out(FourBitFormat format) => "out." + Prefix(format);

    private static void SameCodes(Tensor actual, Tensor expected) => actual.to(int64).eq(expected.to(int64)).all().item<bool>().ShouldBeTrue();

    private static void EachNear(IReadOnlyList<double> actual, Tensor expected, double tolerance)
    {
        actual.Count.ShouldBe((int)expected.numel());
        foreach (var (a, b) in actual.Zip(expected.data<double>().ToArray()))
        {
            a.ShouldBeNear(b, tolerance);
        }
    }

    private Tensor Weight(FourBitFormat format) => golden["in." + Prefix(format) + "weight"];

    private Tensor Inputs(FourBitFormat format) => golden["in." + Prefix(format) + "x"];

    private FourBitGrids Grids(FourBitFormat format) => FourBitGrids.Of(Step(format), float64);

    private SvdQuantSearch Search(FourBitFormat format, SvdQuant? step = null) =>
        new(Weight(format), Inputs(format), Inputs(format).abs().amax([0]), Grids(format), step ?? Step(format), 0);

    private SvdQuantResult Run(FourBitFormat format) => Search(format).Run();

    /// <summary>Settings as the file's metadata has them; what NVFP4 does not say is as for INT4.</summary>
    private SvdQuant Step(FourBitFormat format, int? rank = null)
    {
        string[] words = $"{golden.Setting("int4")} {(format == FourBitFormat.Nvfp4 ? golden.Setting("nvfp4") : "")}".Split(' ');
        int Number(string name) => int.Parse(words.Last(word => word.StartsWith(name + "=", StringComparison.Ordinal)).Split('=')[1], CultureInfo.InvariantCulture);
        return new()
        {
            Format = format,
            GroupSize = Number("group"),
            Rank = rank ?? Number("rank"),
            SmoothingSteps = Number("num_grids"),
            Iterations = Number("max_iters"),
            EarlyStop = words.Contains("early_stop"),
        };
    }
}
