using System.Text.Json;
using PipelineDsl.Runtime.Adapters;
using PipelineDsl.Runtime.Tests.Adapters;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>FLoRA against the official layers.</summary>
[Trait("Category", "Golden")]
public sealed class FloraGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("flora");

    [Theory]
    [InlineData("linear")]
    [InlineData("conv2d")]
    [InlineData("conv3d")]
    public void Outputs_changes_and_gradients_are_the_official_ones(string name)
    {
        using var scope = NewDisposeScope();
        var (weight, x, bias) = (golden[$"in.{name}.W"], golden[$"in.{name}.x"], golden[$"in.{name}.bias"]);
        int[] ranks = [.. golden[$"in.{name}.G1"].shape.Select(rank => (int)rank)];
        var method = new Flora { Ranks = string.Join('x', ranks), Scaling = golden.Number("scale") };
        using var adapter = method.Attach(weight, Operation(ranks.Length - 2), 1);
        adapter.Output(x, bias).ShouldBeNear(golden[$"out.{name}.y_before"], 1e-13);
        adapter.Parameters[0].Value.detach().ShouldBeNear(golden[$"out.{name}.G0"], 0);

        var factors = Enumerable.Range(0, ranks.Length).Select(axis => golden[$"in.{name}.U{axis}_1"]);
        adapter.With([golden[$"in.{name}.G1"], .. factors]);
        adapter.Output(x, bias).ShouldBeNear(golden[$"out.{name}.y_after"], 1e-12);
        adapter.Merge().ShouldBeNear(golden[$"out.{name}.W_merged"], 1e-12);
        (adapter.Merge() - weight).ShouldBeNear(golden[$"out.{name}.deltaW"], 1e-12);
        var gradients = adapter.Gradients(x, golden[$"in.{name}.grad_y"]);
        gradients["G"].ShouldBeNear(golden[$"out.{name}.grad_G"], 1e-12);
        for (int axis = 0; axis < ranks.Length; axis++)
        {
            gradients[$"U{axis}"].ShouldBeNear(golden[$"out.{name}.grad_U{axis}"], 1e-12);
        }

        adapter.ShouldMerge(x);
    }

    [Theory]
    [InlineData("linear")]
    [InlineData("conv2d")]
    [InlineData("conv3d")]
    public void Factors_start_as_wide_as_the_official_ones(string name)
    {
        using var scope = NewDisposeScope();
        int[] ranks = [.. golden[$"in.{name}.G1"].shape.Select(rank => (int)rank)];
        foreach (int axis in Enumerable.Range(0, ranks.Length))
        {
            // The few numbers of the official draw only say so much; ours are many.
            double expected = 1 / Math.Sqrt(2.0 * ranks[axis]);
            var official = golden[$"out.{name}.U{axis}_0"];
            official.square().mean().sqrt().item<double>().ShouldBeInRange(expected * (1 - (2.5 / Math.Sqrt(official.numel()))), expected * (1 + (2.5 / Math.Sqrt(official.numel()))));
        }

        using var wide = new Flora { Ranks = "16x8" }.Attach(zeros(512, 1024, dtype: float64), LayerOperation.Linear, 1);
        wide.Parameters[1].Value.std().item<double>().ShouldBeInRange(0.97 / Math.Sqrt(32), 1.03 / Math.Sqrt(32));
        wide.Parameters[2].Value.std().item<double>().ShouldBeInRange(0.97 / 4, 1.03 / 4);
    }

    private LayerOperation Operation(int axes) => axes == 0
        ? LayerOperation.Linear
        : new ConvolutionOperation(Repeated("stride", axes), Repeated("padding", axes), [.. Enumerable.Repeat(1L, axes)]);

    /// <summary>One number for all axes, or one an axis.</summary>
    private long[] Repeated(string name, int axes) => long.TryParse(golden.Setting(name), out long one)
        ? [.. Enumerable.Repeat(one, axes)]
        : JsonSerializer.Deserialize<long[]>(golden.Setting(name).Replace('(', '[').Replace(')', ']'))!;
}
