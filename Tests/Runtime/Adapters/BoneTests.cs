using PipelineDsl.Runtime.Adapters;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Adapters;

/// <summary>What Bone and Bat promise.</summary>
public sealed class BoneTests
{
    [Theory]
    [InlineData(16)]
    [InlineData(18)]
    [InlineData(19)]
    public void The_change_repeats_with_the_shard_s_width_and_has_at_most_its_rank(int inputs)
    {
        using var scope = NewDisposeScope();
        var weight = Random(24, inputs);
        using var adapter = new Bone { Rank = 4 }.Attach(zeros_like(weight), LayerOperation.Linear, 1).Moved();
        var change = adapter.Merge();
        for (int column = 4; column < inputs; column++)
        {
            Compare.SameBits(change.narrow(1, column, 1), change.narrow(1, column % 4, 1)).ShouldBeTrue();
        }

        linalg.matrix_rank(change).item<long>().ShouldBeLessThanOrEqualTo(4);
    }

    [Theory]
    [InlineData(16, 0)]
    [InlineData(18, 6)]
    public void It_is_a_plain_low_rank_change(int inputs, int mini)
    {
        using var scope = NewDisposeScope();
        var (weight, x) = (Random(24, inputs), Random(5, inputs));
        using var adapter = new Bone { Rank = 4, MiniRank = mini }.Attach(weight, LayerOperation.Linear, 1).Moved();
        using var plain = adapter.AsLowRank()!;
        plain.A.sum(dim: 0L).ShouldBeNear(ones(inputs, dtype: float64), 0);
        LayerOperation.Linear.Apply(x, weight + plain.B.mm(plain.A).mul(plain.Scaling)).ShouldBeNear(adapter.Output(x, null), 1e-13);
        adapter.ShouldHaveTrueGradients(x);
    }

    [Fact]
    public void As_many_mini_numbers_as_outputs_are_no_sharing()
    {
        using var scope = NewDisposeScope();
        var (weight, block) = (Random(24, 16), Random(4, 24));
        using var all = new Bone { Rank = 4 }.Attach(weight, LayerOperation.Linear, 1).With(block);
        using var mini = new Bone { Rank = 4, MiniRank = 24 }.Attach(weight, LayerOperation.Linear, 1).With(block);
        Compare.SameBits(all.Merge(), mini.Merge()).ShouldBeTrue();
    }

    [Fact]
    public void Bat_beside_no_weight_is_its_block_everywhere_and_with_a_multiple_of_the_identity_it_scales()
    {
        using var scope = NewDisposeScope();
        var (weight, block) = (Random(24, 16), Random(6, 4, 4));
        using var alone = new Bat { Rank = 4 }.Attach(zeros_like(weight), LayerOperation.Linear, 1).With(block);
        alone.Merge().ShouldBeNear(block.reshape(24, 4).repeat(1, 4), 0);

        var unit = eye(4, dtype: float64).mul(0.3);
        using var scaled = new Bat { Rank = 4 }.Attach(weight, LayerOperation.Linear, 1).With(unit.expand(6, 4, 4));
        scaled.Merge().ShouldBeNear(weight.mul(1.3) + unit.repeat(6, 4), 1e-14);
    }

    [Fact]
    public void Bat_changes_more_than_its_rank_and_has_true_gradients()
    {
        using var scope = NewDisposeScope();
        var weight = Random(24, 16);
        using var adapter = new Bat { Rank = 4 }.Attach(weight, LayerOperation.Linear, 1).Moved();
        linalg.matrix_rank(adapter.Merge() - weight).item<long>().ShouldBe(16);
        adapter.AsLowRank().ShouldBeNull();
        adapter.ShouldHaveTrueGradients(Random(5, 16));
    }

    [Fact]
    public void Exchanging_shards_of_the_inputs_matters_to_Bat_and_not_to_Bone()
    {
        using var scope = NewDisposeScope();
        var (weight, x) = (Random(24, 16), Random(5, 16));
        var swapped = cat([x.narrow(1, 4, 4), x.narrow(1, 0, 4), x.narrow(1, 8, 8)], 1);
        Tensor Part(Adapter adapter, Tensor input) => adapter.Output(input, null) - LayerOperation.Linear.Apply(input, weight);
        using var bone = new Bone { Rank = 4 }.Attach(weight, LayerOperation.Linear, 1).Moved();
        Part(bone, swapped).ShouldBeNear(Part(bone, x), 1e-12);
        using var bat = new Bat { Rank = 4 }.Attach(weight, LayerOperation.Linear, 1).Moved();
        Compare.Norm(Part(bat, swapped) - Part(bat, x)).ShouldBeGreaterThan(0.1 * Compare.Norm(Part(bat, x)));
    }

    [Fact]
    public void Sizes_that_do_not_fit_are_refused()
    {
        using var scope = NewDisposeScope();
        var weight = Random(24, 18);
        Should.Throw<ArgumentException>(() => new Bat { Rank = 4 }.Attach(weight, LayerOperation.Linear, 1)).Message.ShouldBe("block side 4 does not divide a layer of 24 × 18; take a common divisor");
        Should.Throw<ArgumentException>(() => new Bone { Rank = 4, MiniRank = 5 }.Attach(weight, LayerOperation.Linear, 1)).Message.ShouldBe("mini rank 5 does not divide the 24 outputs; take a divisor or 0");
        Should.Throw<ArgumentException>(() => new Bone { Rank = 19 }.Attach(weight, LayerOperation.Linear, 1)).Message.ShouldBe("a shard of 19 is wider than the 18 inputs; use at most 18");
        Should.Throw<NotSupportedException>(() => new Bone { Rank = 4 }.Attach(weight, LayerOperation.Lookup, 1));
    }

    private static Tensor Random(params long[] shape) => AdapterChecks.Random((int)shape.Sum(), shape);
}
