using System.Text.Json;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Comparison;
using PipelineDsl.Runtime.Tests.Engine;

namespace PipelineDsl.Runtime.Tests.Comparison;

public sealed class ComparerTests : IDisposable
{
    private readonly TwoLayersProject project = new();

    public void Dispose() => project.Dispose();

    [Fact]
    public void An_artifact_does_not_differ_from_itself()
    {
        string artifact = Build("models", 4, 8);
        var comparison = Comparer.Compare(artifact, artifact);
        comparison.IsEmpty.ShouldBeTrue();
        comparison.UnchangedLayers.ShouldBe(3);
        comparison.IdenticalWeights.ShouldBe(true);
        ComparisonText.ToText(comparison).ShouldContain("nothing differs: 3 layers");
    }

    [Fact]
    public void A_changed_rank_shows_in_its_layer_alone_and_in_the_totals()
    {
        string old = Build("old", 4, 8);
        string current = Build("new", 5, 8);
        var comparison = Comparer.Compare(old, current);
        var layer = comparison.Layers.ShouldHaveSingleItem();
        (layer.Path, layer.Difference, layer.SameOriginal, layer.IdenticalWeights).ShouldBe(("first", LayerDifference.Changed, true, false));
        layer.Steps.ShouldBe([new("decompose", "rank", "4", "5")]);
        (layer.NewBytes - layer.OldBytes).ShouldBe((24 + 16) * 4);
        layer.NewError!.Value.ShouldBeLessThan(layer.OldError!.Value);
        comparison.UnchangedLayers.ShouldBe(2);
        (comparison.New.BytesAfter - comparison.Old.BytesAfter).ShouldBe((24 + 16) * 4);
        comparison.Old.Quality!.Metric.ShouldBe("accuracy");
        comparison.IdenticalWeights.ShouldBe(false);
        comparison.Sources.ShouldBeEmpty();

        string text = ComparisonText.ToText(comparison);
        text.ShouldContain("~  first  decompose.rank 4 → 5");
        text.ShouldContain("layers: 1 changed, 0 added, 0 removed, 2 the same\n");
        text.ShouldContain("weights: not the same\n");
        text.ShouldContain("worse than 1.0000)");
        using var json = JsonDocument.Parse(ComparisonText.ToJson(comparison));
        var item = json.RootElement.GetProperty("layers")[0];
        item.GetProperty("difference").GetString().ShouldBe("changed");
        item.GetProperty("steps")[0].GetProperty("new").GetString().ShouldBe("5");
        json.RootElement.GetProperty("old").GetProperty("quality").GetProperty("compressed").GetDouble().ShouldBe(comparison.Old.Quality.Compressed);
    }

    [Fact]
    public void Layers_of_one_side_alone_are_added_or_removed_with_all_their_steps()
    {
        string old = Build("old", 4, 8);
        string current = Build("new", 4, null);
        var removed = Comparer.Compare(old, current).Layers.ShouldHaveSingleItem();
        (removed.Path, removed.Difference, removed.NewBytes).ShouldBe(("second", LayerDifference.Removed, null));
        removed.Steps.ShouldHaveSingleItem().Old.ShouldNotBeNull().ShouldStartWith("quantize {");
        ComparisonText.ToText(Comparer.Compare(old, current)).ShouldContain("-  second  no quantize {");

        var added = Comparer.Compare(current, old).Layers.ShouldHaveSingleItem();
        (added.Difference, added.OldBytes, added.Steps[0].Old).ShouldBe((LayerDifference.Added, null, null));
    }

    [Fact]
    public void Values_that_another_seed_or_another_machine_made_are_told_where_steps_are_the_same()
    {
        string old = Build("old", 4, 8);
        string current = Build("new", 4, 8);
        byte[] weights = File.ReadAllBytes(Path.Combine(current, ArtifactFiles.Weights));
        weights[^1] ^= 1;
        File.WriteAllBytes(Path.Combine(current, ArtifactFiles.Weights), weights);
        var manifest = ManifestFile.Read(current);
        File.WriteAllText(Path.Combine(current, ArtifactFiles.Manifest), ManifestFile.Write(manifest with { Weights = new string('0', 64), Device = "cuda" }));

        var comparison = Comparer.Compare(old, current);
        comparison.Layers.ShouldHaveSingleItem().IdenticalWeights.ShouldBe(false);
        comparison.Values.ShouldBe([new("device", "cpu", "cuda")]);
        ComparisonText.ToText(comparison).ShouldContain("the same steps, other values");
    }

    [Fact]
    public void Lock_files_tell_the_same_without_weights_or_errors()
    {
        Build("old", 4, 8);
        File.Move(project.In("small.recipe.lock.yaml"), project.In("old.recipe.lock.yaml"));
        Build("new", 5, 8);
        var comparison = Comparer.Compare(project.In("old.recipe.lock.yaml"), project.In("small.recipe.lock.yaml"));
        var layer = comparison.Layers.ShouldHaveSingleItem();
        layer.Steps.ShouldBe([new("decompose", "rank", "4", "5")]);
        (layer.NewBytes - layer.OldBytes, layer.OldError, layer.IdenticalWeights, comparison.IdenticalWeights).ShouldBe(((24 + 16) * 4, null, null, null));
        ComparisonText.ToText(comparison).ShouldNotContain("error");
    }

    [Theory]
    [InlineData("models/none", DiagnosticIds.ArtifactRefused)]
    [InlineData("none.recipe.lock.yaml", DiagnosticIds.MissingFile)]
    public void What_is_not_there_is_an_error_that_says_so(string path, string id) =>
        Should.Throw<PipelineException>(() => Comparer.Compare(project.In(path), project.In(path))).Diagnostic.Id.ShouldBe(id);

    [Fact]
    public void Another_file_is_no_lock_file_and_an_artifact_is_not_compared_with_one()
    {
        string artifact = Build("models", 4, 8);
        File.WriteAllText(project.In("recipe.yaml"), "recipe: small\n");
        Should.Throw<PipelineException>(() => Comparer.Compare(project.In("recipe.yaml"), project.In("recipe.yaml"))).Diagnostic.Id.ShouldBe(DiagnosticIds.BrokenYaml);
        Should.Throw<PipelineException>(() => Comparer.Compare(artifact, project.In("small.recipe.lock.yaml"))).Diagnostic.Id.ShouldBe(DiagnosticIds.ContradictorySettings);
    }

    private string Build(string output, int rank, int? bits)
    {
        var rules = new List<(string, Step[])>
        {
            ("first", [new Decompose { Rank = rank, Orientation = Orientation.Whitened }]),
            ("twin", [new Decompose { Rank = 2 }, new Quantize { Bits = 4 }]),
        };
        if (bits is { } number)
        {
            rules.Add(("second", [new Quantize { Bits = number, GroupSize = 8 }]));
        }

        var run = project.NewRun(output, updateLock: true);
        run.Execute(new TwoLayersPipeline(TwoLayersProject.Recipe([.. rules])));
        return run.Artifact;
    }
}
