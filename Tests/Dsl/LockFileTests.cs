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

    [Fact]
    public void What_was_written_is_read_back()
    {
        var plan = PlanOf(("a", 2), ("b.c", 3)) with { Seed = -7, Train = new TrainAttribute("data.jsonl") { Epochs = 2 } };
        var read = LockFile.Read(LockFile.Write(plan));
        (read.Recipe, read.Model, read.Seed, read.Digests["weights"]).ShouldBe(("small", "Model", -7, "00"));
        read.Layers.Select(layer => (layer.Path, layer.Rows, layer.Columns, layer.BytesBefore, layer.BytesAfter)).ShouldBe([("a", 16, 8, 512, 192), ("b.c", 16, 8, 512, 288)]);
        read.Layers[1].Steps.ShouldBe([plan.Layers[1].Steps[0].ToString()]);
        read.Train.ShouldNotBeNull().ShouldContain("epochs: 2");
    }

    [Theory]
    [InlineData("recipe: small\n")]
    [InlineData("lock: 2\nrecipe: small\nmodel: M\nseed: 0\n")]
    [InlineData("lock: 1\nrecipe: small\nmodel: M\nseed: 0\nlayers:\n  a: { bytes: 1 }\n")]
    public void Anything_else_is_no_lock_file(string text) => Should.Throw<FormatException>(() => LockFile.Read(text));

    [Fact]
    public void Steps_are_read_as_every_step_writes_itself()
    {
        foreach (var descriptor in StepCatalog.Steps)
        {
            var step = StepText.Parse(descriptor.Create().ToString());
            step.Name.ShouldBe(descriptor.Name);
            step.Settings.Select(setting => setting.Key).ShouldBe(descriptor.Settings.Select(setting => setting.Name));
        }
    }

    [Fact]
    public void Signs_inside_of_quotes_divide_nothing()
    {
        string chain = "flora { ranks: \"1, 2 | \\\"3\", scaling: 1 } | keep";
        string first = StepText.SplitChain(chain)[0];
        StepText.SplitChain(chain).Count.ShouldBe(2);
        StepText.Parse(first).Settings.ShouldBe([new("ranks", "\"1, 2 | \\\"3\""), new("scaling", "1")]);
        StepText.SplitChain("keep").ShouldBeEmpty();
    }

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
