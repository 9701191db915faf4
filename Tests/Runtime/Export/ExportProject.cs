using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Export;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Tests.Formats;
using PipelineDsl.Runtime.Tests.Stories;
using PipelineDsl.Runtime.Weights;
using Stories.Model;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Export;

/// <summary>The sample's model in a folder of its own, exported with weights that a test makes.</summary>
internal sealed class ExportProject : IRunObserver, IDisposable
{
    private static readonly SourceSpan Place = new("tiny.recipe.yaml", 2, 9, 2, 20);

    private readonly TemporaryFolder folder = new();

    public ExportProject()
    {
        foreach (string name in new[] { "model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json" })
        {
            File.Copy(StoryFiles.In(name), folder.File(name));
        }
    }

    public List<RecipeDiagnostic> Diagnostics { get; } = [];

    public string Folder => folder.Path;

    public void Dispose() => folder.Dispose();

    public string In(string path) => folder.File(path);

    /// <summary>Changes a file of the project as text.</summary>
    public void Edit(string name, string from, string to)
    {
        string text = File.ReadAllText(In(name));
        text.ShouldContain(from);
        File.WriteAllText(In(name), text.Replace(from, to, StringComparison.Ordinal));
    }

    public static Recipe Recipe(ExportFormats formats, params (string Match, Step Step)[] rules) => new()
    {
        Name = "tiny",
        Model = typeof(StoryLlama).FullName!,
        Weights = "model.safetensors",
        Export = formats,
        ExportSpan = Place,
        Rules = new(rules.Select(rule => new Rule(rule.Match, new([new PlacedStep(rule.Step, default, Place)]), Place))),
        Span = Place,
        WeightsSpan = Place,
    };

    public RunResult Run(Recipe recipe) => new PipelineRunner(Options, this).Run(new Pipeline(recipe), CancellationToken.None);

    /// <summary>Exports the model with some layers' weights replaced; the weights are disposed.</summary>
    /// <returns>What was written, and the dense form of every replaced weight by path.</returns>
    public (IReadOnlyList<ExportRecord> Records, Dictionary<string, Tensor> Weights) Export(ExportFormats formats, params (string Path, Expression Weight)[] layers)
    {
        var pipeline = new Pipeline(Recipe(formats, [.. layers.Select(layer => (layer.Path, (Step)new Quantize()))]));
        using var run = new Planner(Options, this).Prepare(pipeline);
        var phase = new ExportPhase(run, this);
        phase.Check();
        var units = new SortedDictionary<string, SolvedUnit>(StringComparer.Ordinal);
        foreach (var (plan, layer) in run.Layers)
        {
            var weight = layers.Single(item => item.Path == plan.Path).Weight;
            units[plan.Path] = new(new LayerUnit(run, plan, layer), "", new SolvedLayer(weight, null, [], [], []));
        }

        using var solved = new SolvedLayers(units, new Dictionary<string, double>(), new HashSet<string>());
        return (phase.Write(solved, In("artifact"))!, layers.ToDictionary(layer => layer.Path, layer => layer.Weight.Materialize()));
    }

    /// <summary>A matrix on a grid by rounding to nearest, with float16 scales.</summary>
    public static Grid Rounded(long rows, long columns, int bits, bool symmetric = true, int groupSize = 32, Granularity granularity = Granularity.Group)
    {
        using var weight = randn(rows, columns, generator: new Generator((ulong)((rows * columns) + bits)));
        return Rounded(weight, new GridGeometry(rows, columns, bits, symmetric, granularity, groupSize));
    }

    /// <summary>A matrix on a grid by rounding to nearest, with float16 scales.</summary>
    public static Grid Rounded(Tensor weight, GridGeometry geometry)
    {
        using var scope = NewDisposeScope();
        var rounded = RoundToNearest.Of(weight, geometry, float16);
        return Grid.Pack(geometry, rounded.Codes, rounded.Scales, rounded.Zeros);
    }

    public void Report(RecipeDiagnostic diagnostic) => Diagnostics.Add(diagnostic);

    public void Progress(string message)
    {
    }

    public void Record(string entry)
    {
    }

    private RunOptions Options => new()
    {
        ProjectDirectory = Folder,
        OutputDirectory = In("models"),
        CacheDirectory = In("cache"),
        CodeFingerprint = "",
        Cores = 1,
    };

    private sealed class Pipeline(Recipe recipe) : ModelPipeline<StoryLlama>
    {
        public override Recipe Recipe { get; } = recipe;

        public override StoryLlama CreateModel() => new();
    }
}
