using PipelineDsl.Runtime.Adapters;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Adapters;

/// <summary>What Kronecker terms promise.</summary>
public sealed class SokaTests
{
    [Fact]
    public void A_product_is_of_rank_one_when_rearranged_and_comes_back()
    {
        using var scope = NewDisposeScope();
        var (a, b) = (Random(3, 5), Random(4, 2));
        var terms = new KroneckerTerms(3, 5, 4, 2);
        var product = kron(a, b);
        terms.Rearrange(product).ShouldBeNear(outer(a.flatten(), b.flatten()), 0);
        terms.Restore(terms.Rearrange(product)).ShouldBeNear(product, 0);
        terms.Sum(a.unsqueeze(0), b.unsqueeze(0)).ShouldBeNear(product, 1e-15);
        Compare.Norm(terms.Rearrange(product)).ShouldBeNear(Compare.Norm(product), 1e-14);
    }

    [Fact]
    public void A_sum_of_exact_products_is_found_whole()
    {
        using var scope = NewDisposeScope();
        var terms = new KroneckerTerms(4, 4, 6, 4);
        var weight = terms.Sum(Random(3, 4, 4), Random(3, 6, 4));
        var method = new Soka { LeftRows = 4, LeftColumns = 4, EnergyThreshold = 1 - 1e-12, Elbow = ElbowRule.None };
        using var adapter = method.Attach(weight, LayerOperation.Linear, 1);
        adapter.Parameters[0].Value.shape[0].ShouldBe(3);
        Compare.Norm(adapter.BaseWeight).ShouldBeLessThan(1e-10 * Compare.Norm(weight));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void It_starts_at_the_original_s_output_and_computes_what_it_merges_to(double scaling)
    {
        using var scope = NewDisposeScope();
        var (weight, x) = (Random(24, 16), Random(2, 5, 16));
        using var adapter = new Soka { Scaling = scaling, MaxRank = 5 }.Attach(weight, LayerOperation.Linear, 1);
        adapter.Output(x, null).ShouldBeNear(LayerOperation.Linear.Apply(x, weight), 1e-12);
        adapter.Moved().ShouldMerge(x);
        adapter.ShouldHaveTrueGradients(x);
    }

    [Fact]
    public void Columns_times_rows_are_the_singular_value_decomposition_and_single_numbers_take_all()
    {
        using var scope = NewDisposeScope();
        var weight = Random(8, 6);
        var (values, _, _) = new KroneckerTerms(8, 1, 1, 6).Decompose(weight);
        values.ShouldBeNear(linalg.svdvals(weight), 1e-12);
        new KroneckerTerms(8, 1, 1, 6).Rearrange(weight).ShouldBeNear(weight, 0);
        var (one, left, right) = new KroneckerTerms(1, 1, 8, 6).Decompose(weight);
        one.shape.ShouldBe([1]);
        left.squeeze().mul(right.squeeze(0)).ShouldBeNear(weight, 1e-12);
    }

    [Fact]
    public void More_energy_never_takes_fewer_terms_and_limits_hold()
    {
        double[] values = [9, 5, 3, 1, 0.5, 0.01];
        int[] ranks = [.. Enumerable.Range(1, 100).Select(percent => SpectrumRank.Of(new Soka { EnergyThreshold = percent / 100.0, Elbow = ElbowRule.None }, values))];
        ranks.ShouldBe(ranks.Order());
        ranks[0].ShouldBe(1);
        ranks[^1].ShouldBe(6);
        SpectrumRank.Of(new Soka { EnergyThreshold = 1, Elbow = ElbowRule.None, MaxRank = 4 }, values).ShouldBe(4);
        SpectrumRank.Of(new Soka { EnergyThreshold = 0.01, MinRank = 2 }, values).ShouldBe(2);
        SpectrumRank.Of(new Soka { EnergyThreshold = 1, TakeLarger = true }, values).ShouldBe(6);
        SpectrumRank.OfChord([2, 2, 2]).ShouldBe(3);
    }

    [Fact]
    public void Sizes_without_divisors_are_refused()
    {
        using var scope = NewDisposeScope();
        Should.Throw<ArgumentException>(() => new Soka().Attach(Random(13, 16), LayerOperation.Linear, 1)).Message.ShouldBe("the 13 outputs have no divisor, so there are no Kronecker factors; leave the layer out or name one");
        Should.Throw<ArgumentException>(() => new Soka { LeftColumns = 3 }.Attach(Random(12, 16), LayerOperation.Linear, 1)).Message.ShouldBe("3 does not divide the 16 inputs; take a divisor or 0");
    }

    private static Tensor Random(params long[] shape) => AdapterChecks.Random((int)shape.Sum(), shape);
}
