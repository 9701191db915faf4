using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Safetensors;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

public sealed class LossAttributionTests : IDisposable
{
    private readonly TwoLayersProject project = new();

    public void Dispose() => project.Dispose();

    [Fact]
    public void A_quadratic_loss_has_the_parts_of_its_gradient_and_of_its_curvature()
    {
        using var scope = NewDisposeScope();
        var generator = new Generator(3);
        var weight = randn(4, 6, generator: generator);
        var input = randn(32, 6, generator: generator);
        var target = randn(32, 4, generator: generator);
        SafetensorsWriter.Write(project.In("line.safetensors"), new Dictionary<string, Tensor> { ["only.weight"] = weight });
        SafetensorsWriter.Write(project.In("points.safetensors"), new Dictionary<string, Tensor> { ["input"] = input, ["target"] = target });
        var recipe = TwoLayersProject.Recipe(("only", [new Quantize { Bits = 3, GroupSize = 6 }])) with
        {
            Model = typeof(Line).FullName!,
            Weights = "line.safetensors",
            Calibrate = new("points.safetensors", 0, 2, TwoLayersProject.Span(3), TwoLayersProject.Span(3)),
            Evaluate = null,
        };
        var pipeline = new LinePipeline(recipe);
        var options = new RunOptions { ProjectDirectory = project.Folder, OutputDirectory = project.In("models"), CacheDirectory = project.In("cache"), CodeFingerprint = "1" };
        var observer = project.NewRun();
        using var run = new Planner(options, observer).Prepare(pipeline);
        var store = new ContentStore(options.CacheDirectory);
        var unit = new LayerUnit(run, run.Layers[0].Plan, run.Layers[0].Layer);
        var none = new Dictionary<string, string>();
        using var trial = new TrialLayers([(unit.Path, unit.Key(none, options.Device))], () => new SolvePhase(run, store, options, observer).Solve([unit], none, CancellationToken.None));
        var parts = new LossAttribution(pipeline, run, store, options).Of(trial, CancellationToken.None);

        var change = trial.Layers[0].Result.Weight.Materialize() - weight;
        double curved = input.mm(change.mT).square().mean().item<float>();
        double slope = 2 * ((input.mm(weight.mT) - target) * input.mm(change.mT)).mean().item<float>();
        parts.Curved.ShouldHaveSingleItem().ShouldBe(curved, 1e-5);
        parts.Values.ShouldHaveSingleItem().ShouldBe(curved + slope, 1e-5);
        Math.Abs(slope).ShouldBeGreaterThan(1e-3, "otherwise the two are not told apart");
    }

    private sealed class Line : nn.Module<Tensor, Tensor>
    {
        private readonly Linear only = nn.Linear(6, 4, hasBias: false);

        public Line()
            : base(nameof(Line)) => RegisterComponents();

        public override Tensor forward(Tensor input) => only.call(input);
    }

    private sealed class LinePipeline(Recipe recipe) : ModelPipeline<Line>
    {
        public override Recipe Recipe { get; } = recipe;

        public override Line CreateModel() => new();
    }
}
