using PipelineDsl;
using PipelineDsl.Benchmarks;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime;
using TorchSharp.Modules;

using static TorchSharp.torch;

[assembly: PipelineEntry(typeof(LargeModelPipeline))]

namespace PipelineDsl.Benchmarks;

/// <summary>Layers of 256 MB, made where nothing but their shapes is needed.</summary>
internal sealed class LargeModel : nn.Module<Tensor, Tensor>
{
    /// <summary>Rows and columns of a layer.</summary>
    public const int Width = 8192;

    private readonly ModuleList<Linear> layers;

    public LargeModel(int count)
        : base(nameof(LargeModel))
    {
        layers = nn.ModuleList(Enumerable.Range(0, count).Select(_ => nn.Linear(Width, Width, hasBias: false)).ToArray());
        RegisterComponents();
    }

    public override Tensor forward(Tensor input) => throw new NotSupportedException("no step runs this model");
}

/// <summary>The recipe that the environment names, for a host that is started on this assembly.</summary>
internal sealed class LargeModelPipeline : ModelPipeline<LargeModel>
{
    /// <summary>The variable that names the step.</summary>
    public const string StepVariable = "PIPELINEDSL_BENCH_STEP";

    /// <summary>The variable with the number of layers.</summary>
    public const string LayersVariable = "PIPELINEDSL_BENCH_LAYERS";

    /// <summary>The weights, in the project's folder.</summary>
    public const string WeightsFile = "large.safetensors";

    /// <summary>The steps by name.</summary>
    public static IReadOnlyDictionary<string, Step> Steps { get; } = new Dictionary<string, Step>
    {
        ["nearest"] = new Quantize { Bits = 4, GroupSize = 64 },
        ["rank64"] = new Decompose { Rank = 64 },
    };

    private readonly Recipe recipe = new()
    {
        Name = "large",
        Model = typeof(LargeModel).FullName!,
        Weights = WeightsFile,
        WeightsSpan = Place,
        Rules = new([new Rule("layers.*", new([new PlacedStep(Steps[Environment.GetEnvironmentVariable(StepVariable)!], default, Place)]), Place)]),
        Span = Place,
    };

    public override Recipe Recipe => recipe;

    private static SourceSpan Place => SourceSpan.StartOf("large.recipe.yaml");

    public override LargeModel CreateModel() => new(int.Parse(Environment.GetEnvironmentVariable(LayersVariable)!, System.Globalization.CultureInfo.InvariantCulture));
}
