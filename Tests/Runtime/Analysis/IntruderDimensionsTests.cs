using PipelineDsl.Runtime.Analysis;
using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Analysis;

public sealed class IntruderDimensionsTests : IDisposable
{
    private readonly DisposeScope scope = NewDisposeScope();
    private readonly Generator generator = new(63);
    private readonly Tensor baseWeight;
    private readonly FactorPair adapter;
    private readonly Tensor tuned;

    public IntruderDimensionsTests()
    {
        baseWeight = Gaussian(40, 24);
        adapter = new(Gaussian(40, 3), Gaussian(3, 24));
        tuned = baseWeight + (Scaling * adapter.Multiply());
    }

    private const double Scaling = 1.5;

    public static TheoryData<SingularSide> Sides => new(Enum.GetValues<SingularSide>());

    public void Dispose()
    {
        scope.Dispose();
        generator.Dispose();
    }

    [Theory]
    [MemberData(nameof(Sides))]
    public void A_weight_has_no_intruders_against_itself_or_a_multiple_of_itself(SingularSide side)
    {
        var analysis = new IntruderSearch(new() { Side = side });
        foreach (double factor in new[] { 1, 0.01, -3 })
        {
            foreach (var weight in new[] { baseWeight, baseWeight.mT })
            {
                var found = analysis.Compare(weight, factor * weight);
                found.MaxCosines.ShouldAllBe(cosine => Math.Abs(cosine - 1) < 1e-6);
                found.CountAt(0.9, 24).ShouldBe(0);
                found.RelativeUpdate.ShouldBe(Math.Abs(factor - 1), 1e-12);
            }
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    [InlineData(9)]
    public void A_strong_direction_spread_over_q_base_vectors_has_the_cosine_one_over_root_q(int q)
    {
        var (u0, _, _) = linalg.svd(baseWeight, fullMatrices: false);
        var direction = u0.narrow(1, 24 - q, q).sum(dim: 1L, keepdim: true) / Math.Sqrt(q);
        var reading = linalg.qr(Gaussian(24, 1)).Q;
        double distance = double.PositiveInfinity;
        foreach (double strength in new[] { 1e2, 1e4, 1e6 })
        {
            var found = new IntruderSearch(new() { TopK = 1 }).Compare(baseWeight, baseWeight + (strength * direction.mm(reading.mT)));
            double left = Math.Abs(found.MaxCosines[0] - (1 / Math.Sqrt(q)));
            left.ShouldBeLessThan(distance);
            distance = left;
            found.Count.ShouldBe(1 / Math.Sqrt(q) < 0.5 ? 1 : 0);
        }

        distance.ShouldBeLessThan(1e-5);
    }

    [Theory]
    [InlineData(0, 5)]
    [InlineData(7, 100)]
    [InlineData(23, 3)]
    [InlineData(4, -0.5)]
    public void Scaling_one_singular_value_makes_no_intruder(int index, double strength)
    {
        var (u0, _, vt0) = linalg.svd(baseWeight, fullMatrices: false);
        var found = new IntruderSearch(new()).Compare(baseWeight, baseWeight + (strength * u0.narrow(1, index, 1).mm(vt0.narrow(0, index, 1))));
        found.CountAt(0.9, 24).ShouldBe(0);
    }

    [Theory]
    [MemberData(nameof(Sides))]
    public void Counts_never_fall_with_the_threshold_or_the_number_of_directions(SingularSide side)
    {
        var found = new IntruderSearch(new() { Side = side }).Compare(baseWeight, tuned);
        double[] thresholds = [.. Enumerable.Range(1, 99).Select(i => i / 100.0)];
        for (int topK = 1; topK <= 24; topK++)
        {
            int[] counts = [.. thresholds.Select(epsilon => found.CountAt(epsilon, topK))];
            counts.ShouldBe(counts.Order());
            thresholds.Select(epsilon => found.CountAt(epsilon, topK + 1)).Zip(counts).ShouldAllBe(pair => pair.First >= pair.Second);
        }

        (found.CountAt(0.01, 24), found.CountAt(0.99, 24)).ShouldBe((0, found.MaxCosines.Count(cosine => cosine < 0.99)));
        found.CountAt(0.5, 10).ShouldBe(found.Count);
    }

    [Theory]
    [MemberData(nameof(Sides))]
    public void Rotations_of_inputs_and_outputs_change_no_cosine(SingularSide side)
    {
        var p = linalg.qr(Gaussian(40, 40)).Q;
        var q = linalg.qr(Gaussian(24, 24)).Q;
        foreach (int window in new[] { 1, 3 })
        {
            var analysis = new IntruderSearch(new() { Side = side, Window = window });
            using var expected = tensor(analysis.Compare(baseWeight, tuned).MaxCosines.ToArray());
            analysis.Compare(p.mm(baseWeight).mm(q), p.mm(tuned).mm(q)).MaxCosines.ToArray().ShouldBeNear(expected, 1e-10);
        }
    }

    [Theory]
    [MemberData(nameof(Sides))]
    public void The_right_side_is_the_left_side_of_the_transposed_weights(SingularSide side)
    {
        var other = side == SingularSide.Left ? SingularSide.Right : SingularSide.Left;
        var found = new IntruderSearch(new() { Side = side, Threshold = 0.7 }).Compare(baseWeight, tuned);
        var mirrored = new IntruderSearch(new() { Side = other, Threshold = 0.7 }).Compare(baseWeight.mT, tuned.mT);
        using var expected = tensor(found.MaxCosines.ToArray());
        mirrored.MaxCosines.ToArray().ShouldBeNear(expected, 1e-10);
        var mitigation = new IntruderMitigation { Lambda = 0.3 };
        mitigation.Apply(tuned.mT, mirrored).mT.ShouldBeNear(mitigation.Apply(tuned, found), 1e-12);
    }

    [Theory]
    [MemberData(nameof(Sides))]
    public void Lambda_is_the_factor_on_the_intruders_singular_values(SingularSide side)
    {
        var found = Intruding(side);
        Compare.SameBits(new IntruderMitigation { Lambda = 1 }.Apply(tuned, found), tuned).ShouldBeTrue();
        foreach (double lambda in new[] { 0, 0.25, 0.75, 2 })
        {
            var edited = new IntruderMitigation { Lambda = lambda }.Apply(tuned, found);
            double[] expected = [.. found.SingularValues.Select((value, j) => found.Intruders.Contains(j) ? lambda * value : value).OrderDescending()];
            expected.ShouldBeNear(linalg.svdvals(edited), 1e-12);
        }
    }

    [Fact]
    public void Lambda_zero_removes_the_intruders()
    {
        var found = Intruding(SingularSide.Left);
        var edited = new IntruderMitigation { Lambda = 0 }.Apply(tuned, found);
        var (u, _, vt) = linalg.svd(tuned, fullMatrices: false);
        foreach (int j in found.Intruders)
        {
            Math.Abs(u.narrow(1, j, 1).mT.mm(edited).mm(vt.narrow(0, j, 1).mT).item<double>()).ShouldBeLessThan(1e-12);
        }
    }

    [Theory]
    [MemberData(nameof(Sides))]
    public void The_exact_adapter_is_the_edited_weight(SingularSide side)
    {
        var found = Intruding(side);
        var mitigation = new IntruderMitigation { Lambda = 0.4 };
        var exact = mitigation.ApplyExactly(baseWeight, adapter, Scaling, found);
        exact.A.shape[0].ShouldBe(3 + found.Count);
        (baseWeight + exact.Multiply()).ShouldBeNear(mitigation.Apply(tuned, found), 1e-12);
    }

    [Theory]
    [MemberData(nameof(Sides))]
    public void The_adapter_of_the_same_rank_is_the_best_approximation_of_the_edited_update(SingularSide side)
    {
        var found = Intruding(side);
        var mitigation = new IntruderMitigation { Lambda = 0.4 };
        var update = mitigation.Apply(tuned, found) - baseWeight;
        var edited = mitigation.ApplyInRank(baseWeight, adapter, Scaling, found);
        edited.A.shape[0].ShouldBe(3);
        double tail = Compare.Norm(linalg.svdvals(update)[3..]);
        tail.ShouldBeGreaterThan(0.01 * Compare.Norm(update));
        Compare.Norm(update - (Scaling * edited.Multiply())).ShouldBeNear(tail, 1e-10);
        edited.B.square().sum(dim: 0L).ShouldBeNear(edited.A.square().sum(dim: 1L), 1e-12);
    }

    [Fact]
    public void Signs_of_singular_vectors_change_nothing()
    {
        var analysis = new IntruderSearch(new() { Threshold = 0.7 });
        var plain = analysis.Decompose(baseWeight);
        var signs = where(arange(24) % 2 == 0, 1.0, -1.0).to(float64);
        var found = analysis.Compare(baseWeight, tuned, plain);
        analysis.Compare(baseWeight, tuned, plain with { Vectors = plain.Vectors * signs }).MaxCosines.ShouldBe(found.MaxCosines);
        var mitigation = new IntruderMitigation { Lambda = 0.4 };
        var flipped = found with { Directions = found.Directions * signs[..found.Count] };
        mitigation.Apply(tuned, flipped).ShouldBeNear(mitigation.Apply(tuned, found), 1e-14);
        mitigation.ApplyExactly(baseWeight, adapter, Scaling, flipped).Multiply().ShouldBeNear(mitigation.ApplyExactly(baseWeight, adapter, Scaling, found).Multiply(), 1e-14);
    }

    [Fact]
    public void Base_vectors_can_be_kept_for_several_tuned_weights()
    {
        var analysis = new IntruderSearch(new());
        analysis.Compare(baseWeight, tuned, analysis.Decompose(baseWeight)).MaxCosines.ShouldBe(analysis.Compare(baseWeight, tuned).MaxCosines);
        var other = new IntruderSearch(new() { Side = SingularSide.Right }).Decompose(baseWeight);
        Should.Throw<ArgumentException>(() => analysis.Compare(baseWeight, tuned, other)).Message.ShouldContain("side");
    }

    [Fact]
    public void The_control_has_an_update_of_the_same_direction_and_of_the_size_of_the_edited_one()
    {
        var found = Intruding(SingularSide.Left);
        var mitigation = new IntruderMitigation { Lambda = 0.4 };
        var (control, factor) = mitigation.Control(baseWeight, tuned, found);
        Compare.Norm(control - baseWeight).ShouldBeNear(Compare.Norm(mitigation.Apply(tuned, found) - baseWeight), 1e-12);
        (control - baseWeight).ShouldBeNear(factor * (tuned - baseWeight), 1e-12);
        factor.ShouldBeInRange(0.1, 0.99);
        var (unchanged, one) = new IntruderMitigation { Lambda = 1 }.Control(baseWeight, tuned, found);
        (Compare.SameBits(unchanged, tuned), one).ShouldBe((true, 1.0));
    }

    [Fact]
    public void A_layer_without_intruders_is_copied()
    {
        var half = baseWeight.to(float16);
        var found = new IntruderSearch(new()).Compare(half, half * 2);
        found.Count.ShouldBe(0);
        found.EnergyShare.ShouldBe(0);
        var mitigation = new IntruderMitigation { Lambda = 0 };
        Compare.SameBits(mitigation.Apply(half, found), half).ShouldBeTrue();
        mitigation.ApplyExactly(baseWeight, adapter, Scaling, found).Multiply().ShouldBeNear(Scaling * adapter.Multiply(), 1e-14);
        mitigation.ApplyInRank(baseWeight, adapter, Scaling, found).Multiply().ShouldBeNear(adapter.Multiply(), 1e-12);
        Compare.SameBits(mitigation.Control(half, half, found).Weight, half).ShouldBeTrue();
    }

    [Fact]
    public void A_window_of_base_vectors_sees_through_rotations_among_equal_singular_values()
    {
        var u = linalg.qr(Gaussian(40, 24)).Q;
        var v = linalg.qr(Gaussian(24, 24)).Q;
        var values = cat([full(4, 5.0, dtype: float64) + (1e-9 * arange(4, dtype: float64)), linspace(2, 1, 20, dtype: float64)]);
        var rotation = linalg.qr(Gaussian(4, 4)).Q;
        var rotated = cat([u[.., ..4].mm(rotation), u[.., 4..]], 1);
        var kept = cat([v[.., ..4].mm(rotation), v[.., 4..]], 1);
        var weight = (u * values).mm(v.mT);
        var tilted = (rotated * values).mm(kept.mT);
        Compare.Norm(weight - tilted).ShouldBeLessThan(1e-7);
        new IntruderSearch(new() { TopK = 4, Threshold = 0.9 }).Compare(weight, tilted).Count.ShouldBeGreaterThan(0);
        new IntruderSearch(new() { TopK = 4, Threshold = 0.9, Window = 4 }).Compare(weight, tilted).MaxCosines.Take(4).ShouldAllBe(cosine => cosine > 0.999);
    }

    [Fact]
    public void Directions_without_a_singular_value_are_no_intruders()
    {
        var thin = Gaussian(40, 3).mm(Gaussian(3, 24));
        var found = new IntruderSearch(new()).Compare(baseWeight, thin);
        found.NumericalRank.ShouldBe(3);
        found.CountAt(0.999, 24).ShouldBe(3);
        var nothing = new IntruderSearch(new()).Compare(zeros_like(baseWeight), baseWeight);
        nothing.RelativeUpdate.ShouldBe(double.PositiveInfinity);
        new IntruderSearch(new()).Compare(baseWeight, zeros_like(baseWeight)).Count.ShouldBe(0);
    }

    [Fact]
    public void A_report_sums_over_the_layers()
    {
        var report = new IntruderReport([("a", Intruding(SingularSide.Left)), ("b", new IntruderSearch(new()).Compare(baseWeight, baseWeight))]);
        report.Count.ShouldBe(report.Layers[0].Findings.Count);
        report.Counts.Count.ShouldBe(15);
        report.Counts.ShouldAllBe(entry => entry.Count == report.Layers[0].Findings.CountAt(entry.Epsilon, entry.TopK));
    }

    [Fact]
    public void The_smallest_lambda_within_the_tolerance_is_chosen()
    {
        var sweep = MitigationSweep.Run(lambda => (0.9 - (0.1 * (1 - lambda) * (1 - lambda)), 2 + (0.5 * lambda)));
        sweep.Points.Select(point => point.Lambda).ShouldBe([0, 0.25, 0.5, 0.75, 0.9, 1]);
        sweep.Choose(0.03).ShouldBe(new SweepPoint(0.5, 0.9 - (0.1 * 0.25), 2.25));
        sweep.Choose(0).Lambda.ShouldBe(1);
        sweep.Choose(1).Lambda.ShouldBe(0);
        Should.Throw<InvalidOperationException>(() => new MitigationSweep([new(0.5, 1, 1)]).Choose(0)).Message.ShouldContain("lambda 1");
    }

    [Fact]
    public void Impossible_settings_and_weights_are_refused()
    {
        Should.Throw<InvalidOperationException>(() => new IntruderSearch(new() { Threshold = 1 }).Compare(baseWeight, tuned)).Message.ShouldContain("threshold");
        Should.Throw<InvalidOperationException>(() => new IntruderSearch(new() { TopK = 0 }).Compare(baseWeight, tuned)).Message.ShouldContain("topK");
        Should.Throw<ArgumentException>(() => new IntruderSearch(new()).Compare(baseWeight, tuned.mT)).Message.ShouldContain("one shape");
        Should.Throw<InvalidOperationException>(() => new IntruderSearch(new()).Compare(baseWeight, tuned / 0)).Message.ShouldContain("tuned");
        var found = Intruding(SingularSide.Left);
        Should.Throw<InvalidOperationException>(() => new IntruderMitigation { Lambda = -1 }.Apply(tuned, found)).Message.ShouldContain("lambda");
        Should.Throw<ArgumentException>(() => new IntruderMitigation().ApplyInRank(baseWeight, adapter, 0, found)).Message.ShouldContain("scaling");
    }

    /// <summary>Findings with some intruders and some that are none.</summary>
    private IntruderFindings Intruding(SingularSide side)
    {
        var found = new IntruderSearch(new() { Side = side, Threshold = 0.7 }).Compare(baseWeight, tuned);
        found.Count.ShouldBeInRange(1, 9);
        return found;
    }

    private Tensor Gaussian(long m, long n) => randn([m, n], dtype: float64, generator: generator);
}
