using System.Globalization;
using System.Text.Json;
using PipelineDsl.Runtime.Adapters;
using PipelineDsl.Runtime.Tests.Adapters;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>LoRA and its relatives against the PEFT library.</summary>
[Trait("Category", "Golden")]
public sealed class LoraFamilyGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("lora-family");

    public static TheoryData<string, string> Layers => new(
        from variant in (string[])["lora", "rslora", "dora"]
        from layer in (string[])["linear", "conv", "emb"]
        select (variant, layer));

    [Theory]
    [MemberData(nameof(Layers))]
    public void Outputs_and_merged_weights_are_the_library_s_on_every_kind_of_layer(string variant, string layer)
    {
        using var scope = NewDisposeScope();
        using var adapter = Method(variant).Attach(golden[$"in.{layer}.W"], Operation(layer), 1);
        var x = golden[layer == "emb" ? "in.emb.ids" : $"in.{layer}.x"];
        var bias = layer == "emb" ? null : golden[$"in.{layer}.bias"];
        adapter.Output(x, bias).ShouldBeNear(golden[$"out.{variant}.{layer}.y_before"], 1e-12);

        var (a, b) = Factors(variant, layer);
        adapter.With(variant == "dora" ? [a, b, golden[$"in.dora.{layer}.m1"]] : [a, b]);
        adapter.Output(x, bias).ShouldBeNear(golden[$"out.{variant}.{layer}.y_after"], 1e-12);
        adapter.Merge().ShouldBeNear(golden[$"out.{variant}.{layer}.W_merged"], 1e-12);
        adapter.ShouldMerge(x);
    }

    [Theory]
    [InlineData("linear")]
    [InlineData("conv")]
    [InlineData("emb")]
    public void Magnitudes_start_as_the_norms_of_the_units(string layer)
    {
        using var scope = NewDisposeScope();
        using var adapter = Method("dora").Attach(golden[$"in.{layer}.W"], Operation(layer), 1);
        if (layer == "emb")
        {
            adapter.With(golden["in.emb.A1"].mul(0), golden["in.emb.B1"], adapter.Parameters[2].Value.detach());
        }

        adapter.Parameters[2].Value.detach().ShouldBeNear(golden[$"out.dora.{layer}.m0"].flatten(), 1e-12);
    }

    [Fact]
    public void Gradients_with_magnitudes_are_the_library_s()
    {
        using var scope = NewDisposeScope();
        using var adapter = Method("dora").Attach(golden["in.linear.W"], LayerOperation.Linear, 1);
        var (a, b) = Factors("dora", "linear");
        adapter.With(a, b, golden["in.dora.linear.m1"]);
        var gradients = adapter.Gradients(golden["in.linear.x"], golden["in.dora.grad_y"]);
        gradients["A"].ShouldBeNear(golden["out.dora.grad_A"], 1e-11);
        gradients["B"].ShouldBeNear(golden["out.dora.grad_B"], 1e-11);
        gradients["magnitude"].ShouldBeNear(golden["out.dora.grad_m"], 1e-11);
    }

    [Theory]
    [InlineData("pissa")]
    [InlineData("olora")]
    [InlineData("pissa_rslora")]
    public void Adapters_that_split_the_weight_go_the_library_s_way_and_convert_to_plain_ones(string variant)
    {
        using var scope = NewDisposeScope();
        var weight = golden["in.linear.W"].to(float32);
        var (x, bias) = (golden["in.linear.x"].to(float32), golden["in.linear.bias"].to(float32));
        var method = Method(variant);
        using (var fresh = method.Attach(weight, LayerOperation.Linear, 1))
        {
            fresh.BaseWeight.ShouldBeNear(golden[$"out.{variant}.W_res"], 1e-5);
            fresh.Parameters[1].Value.detach().mm(fresh.Parameters[0].Value.detach()).ShouldBeNear(golden[$"out.{variant}.BA0"], 1e-5);
            fresh.Output(x, bias).ShouldBeNear(golden[$"out.{variant}.y_before"], 1e-5);
        }

        // From the library's own factors, for their signs are free.
        var (a0, b0) = (golden[$"out.{variant}.A0"], golden[$"out.{variant}.B0"]);
        using var adapter = LoraMethod.Attach(method, golden[$"out.{variant}.W_res"], a0, b0);
        adapter.With(a0 + golden["in.linear.dA"].to(float32), b0 + golden["in.linear.dB"].to(float32));
        adapter.Output(x, bias).ShouldBeNear(golden[$"out.{variant}.y_after"], 1e-5);
        adapter.Merge().ShouldBeNear(golden[$"out.{variant}.W_merged"], 1e-5);

        using var plain = adapter.AsLowRank()!;
        plain.A.ShouldBeNear(golden[$"out.{variant}.converted_A"], 1e-6);
        plain.B.ShouldBeNear(golden[$"out.{variant}.converted_B"], 1e-6);
        using var converted = JsonDocument.Parse(golden.Setting($"convert.{variant}"));
        double rank = converted.RootElement.GetProperty("r").GetDouble();
        double alpha = converted.RootElement.GetProperty("lora_alpha").GetDouble();
        plain.Scaling.ShouldBeNear(converted.RootElement.GetProperty("use_rslora").GetBoolean() ? alpha / Math.Sqrt(rank) : alpha / rank, 1e-12);
        (nn.functional.linear(x, weight + plain.B.mm(plain.A).mul(plain.Scaling)) + bias).ShouldBeNear(golden[$"out.{variant}.y_after"], 1e-5);
    }

    [Fact]
    public void Splitting_in_float64_leaves_the_reference_s_residual()
    {
        using var scope = NewDisposeScope();
        using var pissa = Method("pissa").Attach(golden["in.linear.W"], LayerOperation.Linear, 1);
        pissa.BaseWeight.ShouldBeNear(golden["out.pissa_f64.W_res"], 1e-12);
        using var olora = Method("olora").Attach(golden["in.linear.W"], LayerOperation.Linear, 1);
        olora.BaseWeight.ShouldBeNear(golden["out.olora_f64.W_res"], 1e-12);
        olora.Parameters[1].Value.detach().mm(olora.Parameters[0].Value.detach()).ShouldBeNear(golden["out.olora_f64.QR_r"], 1e-12);
        linalg.svdvals(golden["in.linear.W"]).ShouldBeNear(golden["out.pissa_f64.singular_values"], 1e-12);
    }

    [Fact]
    public void Scalings_are_the_library_s()
    {
        Method("lora").Scaling.ShouldBeNear(golden.Number("scaling_lora"), 1e-12);
        Method("rslora").Scaling.ShouldBeNear(golden.Number("scaling_rslora"), 1e-12);
    }

    private Lora Method(string variant) => new()
    {
        Rank = golden.Integer("r"),
        Alpha = golden.Number("lora_alpha"),
        RankStabilized = variant.EndsWith("rslora", StringComparison.Ordinal),
        WeightDecomposed = variant == "dora",
        Start = variant.StartsWith("pissa", StringComparison.Ordinal) ? LoraStart.Pissa : variant == "olora" ? LoraStart.Olora : LoraStart.Uniform,
    };

    /// <summary>The page's convolution has padding 1.</summary>
    private static LayerOperation Operation(string layer) => layer switch
    {
        "linear" => LayerOperation.Linear,
        "emb" => LayerOperation.Lookup,
        _ => new ConvolutionOperation([1, 1], [1, 1], [1, 1]),
    };

    private (Tensor A, Tensor B) Factors(string variant, string layer) => layer == "linear"
        ? (golden[$"out.{variant}.linear.A0"] + golden["in.linear.dA"], golden["in.linear.dB"])
        : (golden[$"in.{layer}.A1"], golden[$"in.{layer}.B1"]);
}
