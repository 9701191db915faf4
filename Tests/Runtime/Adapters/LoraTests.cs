using PipelineDsl.Runtime.Adapters;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Adapters;

/// <summary>What LoRA and its relatives promise.</summary>
public sealed class LoraTests
{
    public static TheoryData<Lora> Methods =>
    [
        new Lora { Rank = 3, Alpha = 6 },
        new Lora { Rank = 3, Alpha = 6, RankStabilized = true, Start = LoraStart.Gaussian },
        new Lora { Rank = 3, Alpha = 6, WeightDecomposed = true },
        new Lora { Rank = 3, Alpha = 5, Start = LoraStart.Pissa },
        new Lora { Rank = 3, Alpha = 2, Start = LoraStart.Olora },
        new Lora { Rank = 3, Alpha = 5, Start = LoraStart.Pissa, WeightDecomposed = true },
    ];

    [Theory]
    [MemberData(nameof(Methods))]
    public void Training_starts_at_the_original_s_output_and_merges_wherever_it_ends(Lora method)
    {
        using var scope = NewDisposeScope();
        var (weight, x) = (Random(9, 12), Random(5, 12));
        using var adapter = method.Attach(weight, LayerOperation.Linear, 3);
        adapter.Output(x, null).ShouldBeNear(LayerOperation.Linear.Apply(x, weight), 1e-12);
        adapter.Moved().ShouldMerge(x);
        if (!method.WeightDecomposed)
        {
            // With magnitudes the gradients leave the norm out, as published.
            adapter.ShouldHaveTrueGradients(x);
        }
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public void Training_starts_at_the_original_s_output_in_float32(Lora method)
    {
        using var scope = NewDisposeScope();
        var (weight, x) = (Random(9, 12).to(float32), Random(5, 12).to(float32));
        using var adapter = method.Attach(weight, LayerOperation.Linear, 3);
        adapter.Output(x, null).ShouldBeNear(LayerOperation.Linear.Apply(x, weight), 1e-5);
    }

    [Fact]
    public void Pissa_takes_the_leading_singular_values_out_of_the_weight()
    {
        using var scope = NewDisposeScope();
        var weight = Random(9, 12);
        var values = linalg.svdvals(weight);
        using var adapter = new Lora { Rank = 3, Alpha = 5, Start = LoraStart.Pissa }.Attach(weight, LayerOperation.Linear, 1);
        var left = linalg.svdvals(adapter.BaseWeight);
        left.narrow(0, 0, 6).ShouldBeNear(values.narrow(0, 3, 6), 1e-12);
        left.narrow(0, 6, 3).abs().max().item<double>().ShouldBeLessThan(1e-12);
        (weight - adapter.BaseWeight).square().sum().item<double>().ShouldBeNear(values.narrow(0, 0, 3).square().sum().item<double>(), 1e-12);
        var (a, b) = (adapter.Parameters[0].Value.detach(), adapter.Parameters[1].Value.detach());
        a.mm(a.mT).ShouldBeNear(diag(values.narrow(0, 0, 3)).div(5.0 / 3), 1e-12);
        b.mT.mm(b).ShouldBeNear(diag(values.narrow(0, 0, 3)).div(5.0 / 3), 1e-12);
    }

    [Fact]
    public void Olora_takes_the_scaled_product_of_its_orthonormal_columns_out_of_the_weight()
    {
        using var scope = NewDisposeScope();
        var weight = Random(9, 12);
        const double scaling = 2.0 / 3;
        using var adapter = new Lora { Rank = 3, Alpha = 2, Start = LoraStart.Olora }.Attach(weight, LayerOperation.Linear, 1);
        var (a, b) = (adapter.Parameters[0].Value.detach(), adapter.Parameters[1].Value.detach());
        b.mT.mm(b).ShouldBeNear(eye(3, dtype: float64), 1e-12);
        adapter.BaseWeight.ShouldBeNear(weight - b.mm(a).mul(scaling), 1e-12);
        adapter.BaseWeight.narrow(1, 0, 3).ShouldBeNear(weight.narrow(1, 0, 3).mul(1 - scaling), 1e-12);
    }

    [Fact]
    public void Merged_norms_are_the_magnitudes_and_stay_when_the_direction_changes_length()
    {
        using var scope = NewDisposeScope();
        var weight = Random(9, 12);
        using var adapter = new Lora { Rank = 3, WeightDecomposed = true }.Attach(weight, LayerOperation.Linear, 1).Moved();
        var magnitudes = adapter.Parameters[2].Value.detach();
        adapter.Merge().square().sum(dim: 1L).sqrt().ShouldBeNear(magnitudes.abs(), 1e-12);
        using (no_grad())
        {
            adapter.Parameters[1].Value.mul_(7);
        }

        adapter.Merge().square().sum(dim: 1L).sqrt().ShouldBeNear(magnitudes.abs(), 1e-12);
    }

    [Fact]
    public void Magnitudes_that_are_the_norms_change_nothing()
    {
        using var scope = NewDisposeScope();
        var (weight, x, a, b) = (Random(9, 12), Random(5, 12), Random(3, 12), Random(9, 3));
        var method = new Lora { Rank = 3, Alpha = 6 };
        using var plain = method.Attach(weight, LayerOperation.Linear, 1).With(a, b);
        using var decomposed = new Lora { Rank = 3, Alpha = 6, WeightDecomposed = true }.Attach(weight, LayerOperation.Linear, 1).With(a, b, plain.Merge().square().sum(dim: 1L).sqrt());
        decomposed.Output(x, null).ShouldBeNear(plain.Output(x, null), 1e-12);
        decomposed.AsLowRank().ShouldBeNull();
    }

    [Fact]
    public void Rank_stabilised_scaling_is_the_plain_one_with_a_larger_alpha()
    {
        new Lora { Rank = 16, Alpha = 4, RankStabilized = true }.Scaling.ShouldBeNear(new Lora { Rank = 16, Alpha = 4 * Math.Sqrt(16) }.Scaling, 1e-15);
    }

    [Fact]
    public void What_a_split_weight_learned_becomes_a_plain_change_of_the_original()
    {
        using var scope = NewDisposeScope();
        var weight = Random(9, 12);
        foreach (var start in (LoraStart[])[LoraStart.Uniform, LoraStart.Pissa, LoraStart.Olora])
        {
            using var adapter = new Lora { Rank = 3, Alpha = 5, Start = start }.Attach(weight, LayerOperation.Linear, 1).Moved();
            using var plain = adapter.AsLowRank()!;
            plain.A.shape[0].ShouldBe(start == LoraStart.Uniform ? 3 : 6);
            (weight + plain.B.mm(plain.A).mul(plain.Scaling)).ShouldBeNear(adapter.Merge(), 1e-12);
        }
    }

    [Fact]
    public void The_same_seed_starts_alike_and_another_one_does_not()
    {
        using var scope = NewDisposeScope();
        var weight = Random(9, 12);
        using var first = new Lora { Rank = 3 }.Attach(weight, LayerOperation.Linear, 1);
        using var again = new Lora { Rank = 3 }.Attach(weight, LayerOperation.Linear, 1);
        using var other = new Lora { Rank = 3 }.Attach(weight, LayerOperation.Linear, 2);
        Compare.SameBits(first.Parameters[0].Value.detach(), again.Parameters[0].Value.detach()).ShouldBeTrue();
        Compare.SameBits(first.Parameters[0].Value.detach(), other.Parameters[0].Value.detach()).ShouldBeFalse();
        first.Parameters[0].Value.detach().abs().max().item<double>().ShouldBeLessThanOrEqualTo(1 / Math.Sqrt(12));
    }

    [Fact]
    public void The_weight_stays_the_caller_s_and_is_not_copied_where_it_stays_as_it_is()
    {
        using var scope = NewDisposeScope();
        var weight = Random(9, 12);
        using (var adapter = new Lora { Rank = 3 }.Attach(weight, LayerOperation.Linear, 1))
        {
            using var noGradients = no_grad();
            weight.mul_(2);
            adapter.BaseWeight.ShouldBeNear(weight, 0);
        }

        weight.sum().item<double>().ShouldNotBe(0);
    }

    [Fact]
    public void A_merged_weight_that_is_not_finite_is_refused()
    {
        using var scope = NewDisposeScope();
        using var adapter = new Lora { Rank = 3 }.Attach(Random(9, 12), LayerOperation.Linear, 1);
        adapter.With(full([3, 12], 1e200, dtype: float64), full([9, 3], 1e200, dtype: float64));
        Should.Throw<InvalidOperationException>(adapter.Merge).Message.ShouldContain("not finite");
    }

    [Fact]
    public void Ranks_that_a_weight_cannot_have_and_layers_that_cannot_be_split_are_refused()
    {
        using var scope = NewDisposeScope();
        var weight = Random(9, 12);
        Should.Throw<ArgumentException>(() => new Lora { Rank = 10 }.Attach(weight, LayerOperation.Linear, 1)).Message.ShouldBe("rank 10 exceeds min(in=12, out=9); use at most 9");
        Should.Throw<ArgumentException>(() => new Lora { Rank = 2, Start = LoraStart.Pissa }.Attach(weight, LayerOperation.Lookup, 1)).Message.ShouldBe("'start: pissa' splits the weights of linear layers only; use 'uniform' or 'gaussian' here");
    }

    private static Tensor Random(params long[] shape) => AdapterChecks.Random((int)shape.Sum(), shape);
}
