using PipelineDsl.Runtime.Adapters;
using PipelineDsl.Runtime.Tests.Adapters;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>Bone, Bat and MiSS against the PEFT library.</summary>
[Trait("Category", "Golden")]
public sealed class BoneGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("bone");

    [Theory]
    [InlineData("bone", 1e-12)]
    [InlineData("bone_ragged", 1e-12)]
    [InlineData("bat", 1e-10)]
    [InlineData("miss", 1e-12)]
    [InlineData("miss_mini", 1e-12)]
    public void Outputs_gradients_and_merged_weights_are_the_library_s(string name, double restored)
    {
        using var scope = NewDisposeScope();
        var (weight, x, bias) = (golden[$"in.{name}.W"], golden[$"in.{name}.x"], golden[$"in.{name}.bias"]);
        int rank = golden.Integer("r");
        Adapt method = name == "bat" ? new Bat { Rank = rank } : new Bone { Rank = rank, MiniRank = name == "miss_mini" ? golden.Integer("mini_r") : 0 };
        using var adapter = method.Attach(weight, LayerOperation.Linear, 1);
        adapter.Parameters[0].Value.detach().ShouldBeNear(golden[$"out.{name}.block0"], 0);
        adapter.Output(x, bias).ShouldBeNear(golden[$"out.{name}.y_before"], 1e-13);
        Compare.SameBits(adapter.Output(x, null), LayerOperation.Linear.Apply(x, weight)).ShouldBeTrue();

        adapter.With(golden[$"in.{name}.block1"]);
        adapter.Output(x, bias).ShouldBeNear(golden[$"out.{name}.y_after"], 1e-12);
        adapter.Gradients(x, golden[$"in.{name}.grad_y"])["block"].ShouldBeNear(golden[$"out.{name}.grad_block"], 1e-12);
        adapter.Merge().ShouldBeNear(golden[$"out.{name}.W_merged"], 1e-12);
        adapter.ShouldMerge(x, restored: restored);
    }
}
