using PipelineDsl.Diagnostics;
using PipelineDsl.Plans;

namespace PipelineDsl.Dsl.Tests;

public sealed class LockFileTests
{
    [Fact]
    public void Equal_plans_do_not_differ() => LockFile.Differences(Lock(24), Lock(24)).ShouldBeEmpty();

    [Fact]
    public void Of_a_changed_layer_only_what_changed_is_named() =>
        LockFile.Differences(Lock(24), Lock(16)).ShouldBe([
            "layer 'q' bytesAfter was 3296, is 2240, steps was rank: 24, is rank: 16",
            "totals bytesAfter was 3296, is 2240"]);

    [Fact]
    public void A_layer_that_gets_another_step_shows_it() =>
        LockFile.Differences(Lock(24), Lock(new Quantize { Bits = 3 })).ShouldContain(
            "layer 'q' bytesAfter was 3296, is 1792, steps was decompose { keepRatio: 0, orientation: weight, rank: 24 } | quantize { bits: 8, is quantize { bits: 3");

    [Fact]
    public void Digests_are_shortened() =>
        LockFile.Differences(Lock(24), Lock(24).Replace("sha256:aaaa", "sha256:bbbb", StringComparison.Ordinal)).ShouldBe(["digests.weights was sha256:aaaaaaaaaaaa…, is sha256:bbbbaaaaaaaa…"]);

    [Fact]
    public void A_layer_that_came_or_went_is_named() =>
        LockFile.Differences("layers:\n  a: { bytes: 1 }\n", "layers:\n  b: { bytes: 1 }\n").ShouldBe(["layer 'a' is gone", "layer 'b' is new"]);

    [Fact]
    public void What_is_no_lock_file_differs_in_everything() => LockFile.Differences("<<<<<<< HEAD\nfoo\n", Lock(24)).ShouldContain("layer 'q' is new");

    private static string Lock(int rank) => Lock(new Decompose { Rank = rank }, new Quantize { Bits = 8 });

    private static string Lock(params Step[] steps)
    {
        var nowhere = SourceSpan.StartOf("r.yaml");
        var shape = new LayerShape(LayerKinds.Linear, 64, 64);
        var layer = new Recipes.ResolvedLayer(new("q", "Linear", LayerKinds.Linear, shape), new(steps.Select(step => new Recipes.PlacedStep(step, default, nowhere))), nowhere);
        return LockFile.Write(new Plan("r", "M", 0, new Dictionary<string, string> { ["weights"] = new('a', 64) }, new([PlannedLayer.Resolve(layer, 16384)])));
    }
}
