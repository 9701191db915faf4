using System.Globalization;
using System.Text.Json;
using PipelineDsl.Runtime.Adapters;
using PipelineDsl.Runtime.Tests.Adapters;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>TLoRA against the official code's core functions.</summary>
[Trait("Category", "Golden")]
public sealed class TloraGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("tlora");

    [Theory]
    [InlineData("trm", "tr")]
    [InlineData("kron", "tr")]
    [InlineData("trm", "lora")]
    [InlineData("kron", "lora")]
    [InlineData("none", "tr")]
    public void Outputs_and_merged_weights_are_the_official_ones(string transform, string residual)
    {
        using var scope = NewDisposeScope();
        var (x, bias) = (golden["in.x"], golden["in.bias"]);
        var method = Method(transform, residual);
        method.Scaling.ShouldBeNear(golden.Number("scaling"), 1e-12);
        using var adapter = method.Attach(golden["in.W"], LayerOperation.Linear, 1);
        adapter.Output(x, bias).ShouldBeNear(golden["out.y_before"], 1e-13);

        Tensor[] cores = transform == "none" ? [] : [.. Cores(transform, "A")];
        adapter.With([.. cores, .. residual == "lora" ? [golden["in.lora.A_1"], golden["in.lora.B_1"]] : Cores("tr", "C").Concat(Cores("tr", "B"))]);
        adapter.Output(x, bias).ShouldBeNear(golden[$"out.{transform}_{residual}.y_after"], 1e-12);
        adapter.Merge().ShouldBeNear(golden[$"out.{transform}_{residual}.W_merged"], 1e-12);
        adapter.ShouldMerge(x, restored: 1e-9);
        adapter.ShouldHaveTrueGradients(x);
    }

    [Fact]
    public void The_transform_starts_as_the_identity_and_contracts_as_the_official_one()
    {
        using var scope = NewDisposeScope();
        var start = RingMatrix.Identity(Sizes("in_tensor_shape"), golden.Integer("transform_rank"));
        for (int place = 0; place < start.Count; place++)
        {
            start[place].ShouldBeNear(golden[$"out.trm.A{place}_0"], 0);
        }

        RingMatrix.Contract(start).ShouldBeNear(golden["out.trm.T0"], 1e-15);
        RingMatrix.Contract(start).ShouldBeNear(eye(golden["in.W"].shape[1], dtype: float64), 1e-15);
        Tensor[] cores = [.. Cores("trm", "A")];
        var matrix = RingMatrix.Contract(cores);
        matrix.ShouldBeNear(golden["out.trm.T1"], 1e-12);
        RingMatrix.Contract([.. Cores("kron", "A").Select(core => core.reshape(core.shape[0], core.shape[1], 1, 1))]).ShouldBeNear(golden["out.kron.T1"], 1e-12);
        RingMatrix.Contract(RingMatrix.TimesTransposed(cores, cores)).ShouldBeNear(golden["out.trm.TTt"], 1e-12);
        RingMatrix.DistanceFromIdentity(cores).sum().item<double>().ShouldBeNear(golden.Scalar("out.reg_identity"), 1e-12);
    }

    [Fact]
    public void The_residual_is_the_official_ring()
    {
        using var scope = NewDisposeScope();
        var method = Method("none", "tr");
        using var adapter = method.Attach(golden["in.W"].mul(0), LayerOperation.Linear, 1);
        adapter.With([.. Cores("tr", "C"), .. Cores("tr", "B")]);
        adapter.Merge().div(method.Scaling).ShouldBeNear(golden["out.tr.delta1"], 1e-12);
    }

    [Theory]
    [InlineData("trm", "lora", "params_trm")]
    [InlineData("kron", "lora", "params_kron")]
    public void Numbers_of_parameters_are_the_official_ones(string transform, string residual, string name)
    {
        using var scope = NewDisposeScope();
        using var adapter = Method(transform, residual).Attach(golden["in.W"], LayerOperation.Linear, 1);
        adapter.Parameters.Where(parameter => parameter.Name.StartsWith('T')).Sum(parameter => parameter.Value.numel()).ShouldBe(golden.Integer(name));
        using var ring = Method("none", "tr").Attach(golden["in.W"], LayerOperation.Linear, 1);
        ring.ParameterCount.ShouldBe(golden.Integer("params_tr"));
    }

    private Tlora Method(string transform, string residual) => new()
    {
        Rank = golden.Integer("rank"),
        TransformRank = transform switch { "none" => 0, "kron" => 1, _ => golden.Integer("transform_rank") },
        Residual = residual == "lora" ? TloraResidual.Lora : TloraResidual.RingVector,
        Alpha = golden.Number("alpha"),
        RankStabilized = bool.Parse(golden.Setting("use_rslora")),
        InputShape = string.Join('x', Sizes("in_tensor_shape")),
        OutputShape = string.Join('x', Sizes("out_tensor_shape")),
    };

    private int[] Sizes(string name) => JsonSerializer.Deserialize<int[]>(golden.Setting(name))!;

    private IEnumerable<Tensor> Cores(string group, string letter)
    {
        for (int place = 0; golden.Has($"in.{group}.{letter}{place.ToString(CultureInfo.InvariantCulture)}_1"); place++)
        {
            yield return golden[$"in.{group}.{letter}{place.ToString(CultureInfo.InvariantCulture)}_1"];
        }
    }
}
