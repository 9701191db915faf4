using PipelineDsl.Diagnostics;
using PipelineDsl.Plans;

namespace PipelineDsl.Dsl.Tests;

public sealed class LockFileTests
{
    [Fact]
    public void A_lock_is_sorted_with_one_line_a_layer()
    {
        string[] lines = LockFile.Write(PlanOf(("b", 4), ("a", 2))).TrimEnd().Split('\n');
        lines.Count(line => line.StartsWith("  a:", StringComparison.Ordinal) || line.StartsWith("  b:", StringComparison.Ordinal)).ShouldBe(2);
        lines.ShouldContain($"  a: {{ bytes: 512, bytesAfter: 192, shape: 16x8, steps: '{new Decompose { Rank = 2 }}' }}");
        lines.ShouldContain("totals: { bytes: 1024, bytesAfter: 576 }");
    }

    [Fact]
    public void Equal_plans_do_not_differ() =>
        LockFile.Differences(LockFile.Write(PlanOf(("a", 2))), LockFile.Write(PlanOf(("a", 2)))).ShouldBeEmpty();

    [Fact]
    public void Differences_name_the_layer_and_the_numbers_that_changed()
    {
        var differences = LockFile.Differences(LockFile.Write(PlanOf(("a", 2), ("b", 2))), LockFile.Write(PlanOf(("a", 3), ("b", 2))));
        differences.ShouldBe(["layer 'a': bytesAfter 192 → 288, rank 2 → 3", "totals: bytesAfter 384 → 480"]);
    }

    [Fact]
    public void New_and_lost_layers_are_named() =>
        LockFile.Differences(LockFile.Write(PlanOf(("a", 2))), LockFile.Write(PlanOf(("b", 2)))).ShouldBe(["layer 'a' is gone", "layer 'b' is new"]);

    [Fact]
    public void Digests_are_shortened() =>
        LockFile.Differences($"digests:\n  weights: sha256:{new string('a', 64)}\n", $"digests:\n  weights: sha256:{new string('b', 64)}\n")
            .ShouldBe(["digests.weights: was sha256:aaaaaaaaaaaa…, is sha256:bbbbbbbbbbbb…"]);

    [Fact]
    public void Windows_line_ends_make_no_difference() =>
        LockFile.Differences(LockFile.Write(PlanOf(("a", 2))).Replace("\n", "\r\n", StringComparison.Ordinal), LockFile.Write(PlanOf(("a", 2)))).ShouldBeEmpty();

    private static Plan PlanOf(params (string Path, int Rank)[] layers) => new(
        "small",
        "Model",
        0,
        new Dictionary<string, string> { ["weights"] = "00" },
        new(layers.Select(layer => PlannedLayer.Resolve(
            new(new(layer.Path, "Linear", LayerKinds.Linear, new(LayerKinds.Linear, 16, 8)), new([new(new Decompose { Rank = layer.Rank }, default, Nowhere)]), Nowhere),
            512))));

    private static SourceSpan Nowhere => SourceSpan.StartOf("r.yaml");
}
