using PipelineDsl.Runtime.Allocation;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Tests.Report;

public sealed class TradeOffTests
{
    [Fact]
    public void Every_point_of_an_allocation_is_the_best_for_its_budget()
    {
        var random = new Random(5);
        for (int round = 0; round < 20; round++)
        {
            List<IReadOnlyList<AllocationOption>> layers = [.. Enumerable.Range(0, 6).Select(_ => (IReadOnlyList<AllocationOption>)[.. Enumerable.Range(0, 5).Select(_ => new AllocationOption(1 + random.Next(100), random.NextDouble()))])];
            var points = LinearRelaxation.Frontier(layers);
            points[0].Cost.ShouldBe(BudgetAllocator.SmallestBudget(layers));
            points[^1].Distortion.ShouldBe(layers.Sum(options => options.Min(option => option.Distortion)), 1e-12);
            points.Select(point => point.Cost).ShouldBeInOrder();
            points.ShouldAllBe(point => Math.Abs(BudgetAllocator.Allocate(layers, point.Cost).Distortion - point.Distortion) < 1e-9);
        }
    }

    [Fact]
    public void Scaled_ranks_lose_what_their_spectra_tell()
    {
        // Energies 16, 4, 4, 1 of 25; rank 2 keeps 20.
        var curve = Curve(ExampleBuild.Layer("fc", 4, 2, 2, 1) with { Weight = [], Facts = new() { ["rank"] = 2 }, BytesBefore = 400, BytesAfter = 200 })!;
        curve.IsAllocated.ShouldBeFalse();
        curve.Chosen.Bytes.ShouldBe(1000);
        curve.Chosen.Loss.ShouldBe(0.2, 1e-12);
        curve.Points.Select(point => point.Bytes).ShouldBe([900, 1000, 1100, 1200]);
        curve.Points.Select(point => Math.Round(point.Loss, 12)).ShouldBe([0.36, 0.2, 0.04, 0]);
    }

    [Fact]
    public void A_spectrum_that_ends_early_counts_what_the_solver_knows_of_the_rest()
    {
        var curve = Curve(ExampleBuild.Layer("fc", 4, 2, 2) with { Weight = [], Facts = new() { ["rank"] = 2, ["energyKept"] = 0.5 }, BytesBefore = 400, BytesAfter = 200 })!;
        curve.Chosen.Loss.ShouldBe(0.5, 1e-12);
        curve.Points[^1].Loss.ShouldBe(0.4, 1e-12);
    }

    [Fact]
    public void Without_spectra_and_without_an_allocation_there_is_no_curve()
    {
        Curve(ExampleBuild.Layer("fc") with { Facts = [] }).ShouldBeNull();
        TradeOff.Of(ExampleBuild.Manifest with { Layers = [], Allocation = ExampleBuild.Allocation with { TradeOff = [] } }, []).ShouldBeNull();
    }

    [Fact]
    public void An_allocation_stands_among_the_points_of_its_own_measure()
    {
        var curve = TradeOff.Of(ExampleBuild.Variant("budget"), [])!;
        curve.IsAllocated.ShouldBeTrue();
        curve.Chosen.Bytes.ShouldBe(204_512);
        curve.Chosen.Loss.ShouldBe(0.032, 1e-12);
    }

    [Fact]
    public void The_loss_is_shared_by_the_costs_of_an_allocation_that_covers_every_layer()
    {
        var layers = All(ExampleBuild.Layer("a.q") with { BytesBefore = 100 }, ExampleBuild.Layer("b.q") with { BytesBefore = 300 });
        AllocationRecord Costs(double second) => ExampleBuild.Allocation with { Layers = [new("a.q", "keep", 1, 3, ""), new("b.q", "keep", 1, second, "")] };
        var costs = LossOrigins.Of(layers, Costs(1))!;
        costs.IsAllocated.ShouldBeTrue();
        costs.Blocks.ShouldBe([("a", 0.75), ("b", 0.25)]);
        costs.Names.ShouldBe([("q", 1.0)]);
        foreach (var allocation in new[] { null, Costs(-1), Costs(double.NaN) })
        {
            var errors = LossOrigins.Of(layers, allocation)!;
            errors.IsAllocated.ShouldBeFalse();
            errors.Blocks.ShouldBe([("a", 0.25), ("b", 0.75)]);
        }

        LossOrigins.Of(All(ExampleBuild.Layer("a") with { Facts = new() { ["relativeError"] = 0 } }), null).ShouldBeNull();
    }

    private static TradeOff? Curve(LayerRecord layer)
    {
        var manifest = ExampleBuild.Manifest with { Layers = [layer], Bytes = new(2000, 1000) };
        return TradeOff.Of(manifest, ReportLayer.All(manifest, ExampleBuild.Facts));
    }

    private static IReadOnlyList<ReportLayer> All(params LayerRecord[] layers) => ReportLayer.All(ExampleBuild.Manifest with { Layers = layers }, ExampleBuild.Facts);
}
