using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Analysis;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Safetensors;
using Stories.Model;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Stories;

/// <summary>The heads of the story model, looked at by a recipe.</summary>
public sealed class TalkingHeadsRecipeTests : IDisposable
{
    private const int Heads = 8;

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("pipelinedsl-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public void Channels_between_heads_are_scored_and_every_pair_is_in_a_table()
    {
        var settings = Settings();
        var (artifact, manifest) = Run(settings);
        var found = manifest.Analysis!.TalkingHeads.ShouldNotBeNull();
        (found.Layers.Count, found.Heads, found.NormFolded).ShouldBe((5, Heads, true));
        found.Pairs.ShouldBe(3 * 10 * Heads * Heads);
        found.Baseline.ShouldBe(1 / 8.0);
        found.Channels.ShouldNotBeEmpty();
        found.Channels.ShouldAllBe(channel => channel.ZScore >= settings.ZThreshold);
        using var scope = NewDisposeScope();
        using var weights = SafetensorsFile.Open(StoryFiles.In("model.safetensors"));
        var heads = Enumerable.Range(0, 5).SelectMany(layer => HeadsOf(weights, layer)).ToList();
        var report = new ChannelSearch(settings).Analyze(heads, "stored");
        found.Channels.Select(channel => (channel.Writer, channel.Reader)).ShouldBe(report.Channels.Select(channel => (channel.Writer.ToString(), channel.Reader.ToString())));
        string[] lines = File.ReadAllLines(Path.Combine(artifact, "analysis", "talking-heads.csv"));
        lines.Length.ShouldBe(found.Pairs + 1);
        lines[1].ShouldStartWith("0.0,1.0,query,");
        manifest.Analysis.Files.ShouldHaveSingleItem().Path.ShouldBe("analysis/talking-heads.csv");
        File.ReadAllText(Path.Combine(artifact, ArtifactFiles.HtmlReport)).ShouldContain("Channels between heads");
    }

    [Fact]
    public void Components_of_a_head_are_switched_off_in_the_artifact()
    {
        var settings = Settings();
        settings.Edit = "1.3.0, 1.3.2 = 0.5, 1.5.1 = 2";
        var (artifact, manifest) = Run(settings);
        manifest.Analysis!.TalkingHeads!.Edits.Select(edit => (edit.Head, edit.Component, edit.Factor)).ShouldBe([("1.3", 0, 0), ("1.3", 2, 0.5), ("1.5", 1, 2)]);
        using var scope = NewDisposeScope();
        using var weights = SafetensorsFile.Open(StoryFiles.In("model.safetensors"));
        using var stored = SafetensorsFile.Open(Path.Combine(artifact, ArtifactFiles.Weights));
        const string output = "model.layers.1.self_attn.o_proj";
        var before = HeadsOf(weights, 1);
        var after = HeadsOf(weights, 1, stored.Read(stored.Names.Single(name => name.StartsWith(output, StringComparison.Ordinal))));
        for (int head = 0; head < Heads; head++)
        {
            double[] old = before[head].OvCircuit().Values;
            double[] expected = head == 3 ? [old[1], old[3], old[2] * 0.5, .. old[4..], 0] : head == 5 ? [old[0], old[1] * 2, .. old[2..]] : old;
            after[head].OvCircuit().Values.ShouldBe([.. expected.OrderDescending()], 1e-4 * old[0], $"head {head}");
        }

        manifest.Layers.ShouldContain(layer => layer.Path == output && layer.Facts["editedComponents"] == 3);
    }

    [Theory]
    [InlineData("heads", 7, "", "are not the projections of 7 heads")]
    [InlineData("edit", 8, "9.0.0", "names head 9.0, and there are 5 layers of 8 heads")]
    [InlineData("edit", 8, "1.8.0", "names head 1.8")]
    [InlineData("edit", 8, "1.3.8", "names component 8 of head 1.3, which has 8")]
    public void Heads_that_are_not_there_are_an_error_at_the_setting(string setting, int heads, string edit, string message)
    {
        var settings = Settings();
        (settings.Heads, settings.Edit) = (heads, edit);
        var failure = Should.Throw<PipelineException>(() => Run(settings, setting));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.ContradictorySettings);
        failure.Diagnostic.Span.Line.ShouldBe(7);
        failure.Message.ShouldContain(message);
    }

    [Fact]
    public void A_pattern_that_names_fewer_layers_than_another_is_an_error()
    {
        var settings = Settings();
        settings.Query = "model.layers.0.self_attn.q_proj";
        Should.Throw<PipelineException>(() => Run(settings, "query")).Message.ShouldContain("matches 1 members and 'model.layers.*.self_attn.o_proj' 5");
        settings.Query = "model.layers.*.self_attn.{q_proj,rotary}";
        settings.Output = "model.layers.*.{self_attn.o_proj,self_attn}";
        Should.Throw<PipelineException>(() => Run(settings, "output")).Message.ShouldContain("which is no linear layer");
    }

    private static TalkingHeads Settings() => new()
    {
        Query = "model.layers.*.self_attn.q_proj",
        Key = "model.layers.*.self_attn.k_proj",
        Value = "model.layers.*.self_attn.v_proj",
        Output = "model.layers.*.self_attn.o_proj",
        Norm = "model.layers.*.input_layernorm",
        Heads = Heads,
        ZThreshold = 3,
    };

    private static List<AttentionHead> HeadsOf(SafetensorsFile weights, int layer, Tensor? output = null)
    {
        Tensor Read(string name) => weights.Read($"model.layers.{layer}.{name}.weight");
        return [.. AttentionHead.Split(layer, Read("self_attn.q_proj"), Read("self_attn.k_proj"), Read("self_attn.v_proj"), output ?? Read("self_attn.o_proj"), Heads)
            .Select(head => head.FoldNorm(Read("input_layernorm"), centred: false))];
    }

    private (string Artifact, Manifest Manifest) Run(TalkingHeads settings, string setting = "query")
    {
        SourceSpan At(int line) => new("heads.recipe.yaml", line, 1, line, 9);
        var given = new GivenSetting(char.ToUpperInvariant(setting[0]) + setting[1..], At(7));
        var recipe = new Recipe
        {
            Name = "heads",
            Model = typeof(StoryLlama).FullName!,
            Weights = StoryFiles.In("model.safetensors"),
            Rules = new([new Rule("model.layers.0.mlp.up_proj", new([new PlacedStep(new Quantize { Bits = 8 }, default, At(3))]), At(3))]),
            Analyze = new([new(settings, new([given]), At(6))]),
            Span = At(1),
            WeightsSpan = At(2),
        };
        var options = new RunOptions { ProjectDirectory = folder.FullName, OutputDirectory = Path.Combine(folder.FullName, "models"), CacheDirectory = Path.Combine(folder.FullName, "cache"), CodeFingerprint = "", Cores = 2 };
        var manifest = new PipelineRunner(options, new Silence()).Run(new Pipeline(recipe), TestContext.Current.CancellationToken).Manifest;
        return (Path.Combine(options.OutputDirectory, "heads"), manifest);
    }

    private sealed class Pipeline(Recipe recipe) : ModelPipeline<StoryLlama>
    {
        public override Recipe Recipe { get; } = recipe;

        public override StoryLlama CreateModel() => new(LlamaConfig.Stories260K);
    }

    private sealed class Silence : IRunObserver
    {
        public void Report(RecipeDiagnostic diagnostic) => diagnostic.Severity.ShouldNotBe(Severity.Error);

        public void Progress(string message)
        {
        }

        public void Record(string entry)
        {
        }
    }
}
