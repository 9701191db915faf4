using System.Collections.Concurrent;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Planning;
using PipelineDsl.Runtime.Tests.Engine;

namespace PipelineDsl.Runtime.Tests.Planning;

public sealed class PlanRunnerTests : IDisposable, IRunObserver
{
    private readonly TwoLayersProject project = new();
    private readonly ConcurrentQueue<RecipeDiagnostic> diagnostics = [];

    private static Recipe Balanced(int rank = 4) => TwoLayersProject.Recipe(
        ("first", [new Decompose { Rank = rank, Orientation = Orientation.Whitened }]),
        ("second", [new Quantize { Bits = 8, GroupSize = 8 }]),
        ("twin", [new Decompose { Rank = 2, Orientation = Orientation.Context }, new Quantize { Bits = 4 }]));

    public void Dispose() => project.Dispose();

    [Fact]
    public void Before_a_build_nothing_is_cached_and_nothing_is_written_or_run()
    {
        string[] before = Files();
        var plan = Plan(new NeverRun(Balanced()));
        Files().ShouldBe(before);
        plan.Layers.Select(layer => (layer.Path, layer.IsCached, layer.WaitsFor)).ShouldBe([("first", false, "statistics"), ("second", false, "solving"), ("twin", false, "statistics")]);
        plan.Phases.Select(phase => (phase.Name, phase.Units, phase.Cached)).ShouldBe([("statistics", 2, 0), ("solve", 3, 0), ("evaluate", 2, 0)]);
        plan.Phases.ShouldAllBe(phase => phase.Seconds > 0 && phase.MemoryBytes > 0);
        plan.Layers.ShouldAllBe(layer => layer.Seconds > 0 && layer.MemoryBytes > layer.BytesBefore && !layer.IsMeasured);
        plan.Lock.State.ShouldBe("missing");
    }

    [Fact]
    public void Predicted_bytes_are_those_of_the_artifact()
    {
        var plan = Plan(new NeverRun(Balanced()));
        var manifest = project.NewRun().Execute(new TwoLayersPipeline(Balanced())).Manifest;
        plan.Layers.Select(layer => (layer.Path, layer.BytesBefore, layer.BytesAfter)).ShouldBe(manifest.Layers.Select(layer => (layer.Path, layer.BytesBefore, (long?)layer.BytesAfter)));
        (plan.Totals.BytesBefore, plan.Totals.BytesAfter).ShouldBe((manifest.Bytes.Before, manifest.Bytes.After));
        plan.Layers.Select(layer => layer.Steps).ShouldBe(manifest.Layers.Select(layer => layer.Steps));
    }

    [Fact]
    public void After_a_build_everything_is_cached_and_a_changed_rank_leaves_one_layer_to_solve()
    {
        project.NewRun().Execute(new TwoLayersPipeline(Balanced()));
        var plan = Plan(new NeverRun(Balanced()));
        plan.Layers.ShouldAllBe(layer => layer.IsCached && layer.WaitsFor == null);
        plan.Phases.ShouldAllBe(phase => phase.Cached == phase.Units && phase.Seconds == 0);
        (plan.Totals.Seconds, plan.Totals.CachedLayers, plan.Lock.State).ShouldBe((0, 3, "agrees"));

        var changed = Plan(new NeverRun(Balanced(rank: 5)));
        changed.Layers.Where(layer => !layer.IsCached).ShouldHaveSingleItem().ShouldSatisfyAllConditions(layer => layer.Path.ShouldBe("first"), layer => layer.WaitsFor.ShouldBe("solving"));
        changed.Phases.Select(phase => phase.Cached).ShouldBe([2, 2, 1]);
        (changed.Lock.State, changed.Lock.Differences[0]).ShouldBe(("differs", "layer 'first': bytesAfter 640 → 800, rank 4 → 5"));
        diagnostics.ShouldHaveSingleItem().Id.ShouldBe(DiagnosticIds.PlanDiffersFromLock);
    }

    [Fact]
    public void Locked_mode_refuses_a_plan_that_differs_as_a_build_does()
    {
        Should.Throw<PipelineException>(() => Plan(new NeverRun(Balanced()), locked: true)).Diagnostic.Id.ShouldBe(DiagnosticIds.PlanDiffersFromLock);
        project.NewRun().Execute(new TwoLayersPipeline(Balanced()));
        Plan(new NeverRun(Balanced()), locked: true).Lock.State.ShouldBe("agrees");
        Should.Throw<PipelineException>(() => Plan(new NeverRun(Balanced(rank: 5)), locked: true)).Diagnostic.Id.ShouldBe(DiagnosticIds.PlanDiffersFromLock);
    }

    [Fact]
    public void Changed_code_takes_statistics_again_so_that_keys_of_layers_are_not_known()
    {
        project.NewRun().Execute(new TwoLayersPipeline(Balanced()));
        Plan(new NeverRun(Balanced()), code: "2").Layers.Select(layer => layer.WaitsFor).ShouldBe(["statistics", null, "statistics"]);
    }

    [Fact]
    public void A_damaged_result_is_not_cached_and_the_plan_leaves_it_where_it_is()
    {
        project.NewRun().Execute(new TwoLayersPipeline(Balanced()));
        foreach (string file in Directory.GetFiles(project.In("cache/cas"), "*", SearchOption.AllDirectories))
        {
            File.AppendAllText(file, "x");
        }

        string[] before = Files();
        Plan(new NeverRun(Balanced())).Totals.CachedLayers.ShouldBe(0);
        Files().ShouldBe(before);
    }

    [Theory]
    [InlineData(AllocationMethod.Predicted)]
    [InlineData(AllocationMethod.Measured)]
    [InlineData(AllocationMethod.Farms)]
    public void A_budget_is_open_before_its_first_build_and_known_after_it(AllocationMethod method)
    {
        var recipe = Open(method);
        var open = Plan(new NeverRun(recipe));
        open.Budget.ShouldBe(new("1500 B", SettingDescriptor.Format(method), 1500, false));
        open.Layers.ShouldAllBe(layer => layer.IsOpen && layer.BytesAfter == null && layer.WaitsFor == "allocation");
        open.Layers[0].Summary.ShouldBe("decompose { orientation: whitened, rank: ? }");
        (open.Totals.BytesAfter, open.Lock.State).ShouldBe((1500, "missing"));
        PlanText.ToLines(open).ShouldContain(line => line.Contains("known after a build has allocated it"));

        var manifest = project.NewRun().Execute(new TwoLayersPipeline(recipe)).Manifest;
        string[] before = Files();
        var allocated = Plan(new NeverRun(recipe));
        Files().ShouldBe(before);
        allocated.Budget!.IsAllocated.ShouldBeTrue();
        allocated.Layers.Where(layer => layer.Steps.Count > 0).Select(layer => layer.BytesAfter).ShouldBe(manifest.Layers.Where(layer => layer.Steps.Count > 0).Select(layer => (long?)layer.BytesAfter));
        allocated.Layers.ShouldAllBe(layer => layer.IsCached);
        (allocated.Totals.BytesAfter, allocated.Lock.State, allocated.Totals.Seconds).ShouldBe((manifest.Bytes.After, "agrees", 0));
    }

    [Fact]
    public void Equal_shares_of_a_budget_are_known_without_a_build()
    {
        var plan = Plan(new NeverRun(Open(AllocationMethod.Uniform)));
        plan.Budget!.IsAllocated.ShouldBeTrue();
        plan.Layers.ShouldAllBe(layer => !layer.IsOpen && layer.BytesAfter > 0 && layer.WaitsFor == "statistics");
    }

    [Fact]
    public void Mistakes_come_out_as_in_a_build()
    {
        Should.Throw<PipelineException>(() => Plan(new NeverRun(Open(AllocationMethod.Predicted) with { Budget = Budget.Parse("10 B", TwoLayersProject.Span(5), out _) }))).Diagnostic.Id.ShouldBe(DiagnosticIds.BudgetNotAttainable);
        Should.Throw<PipelineException>(() => Plan(new NeverRun(Balanced() with { Calibrate = null }))).Diagnostic.Id.ShouldBe(DiagnosticIds.MissingSetting);
        Should.Throw<PipelineException>(() => Plan(new NeverRun(Balanced() with { Weights = "none.safetensors" }))).Diagnostic.Id.ShouldBe(DiagnosticIds.MissingFile);
        Should.Throw<RunFailedException>(() => Plan(new NeverRun(Balanced(rank: 900))));
        diagnostics.ShouldContain(diagnostic => diagnostic.Id == DiagnosticIds.RankTooLarge);
    }

    [Fact]
    public void Layers_that_are_trained_wait_until_their_blocks_are()
    {
        var recipe = TwoLayersProject.Recipe(("*", [new Nupes { Bits = 3, Iterations = 20 }]));
        Plan(new NeverRun(recipe)).Phases.Select(phase => (phase.Name, phase.Units, phase.Cached)).ShouldBe([("solve", 3, 0), ("reconstruct", 3, 0), ("evaluate", 2, 0)]);
        project.NewRun().Execute(new TwoLayersPipeline(recipe));
        var plan = Plan(new NeverRun(recipe));
        plan.Layers.ShouldAllBe(layer => layer.IsCached);
        plan.Phases.ShouldAllBe(phase => phase.Cached == phase.Units);

        var changed = Plan(new NeverRun(TwoLayersProject.Recipe(("*", [new Nupes { Bits = 3, Iterations = 21 }]))));
        changed.Layers.Select(layer => layer.WaitsFor).ShouldBe(["solving", "solving", "solving"]);
    }

    [Fact]
    public void Stacks_and_adapters_are_looked_up_too()
    {
        var recipe = TwoLayersProject.Recipe(("first", [new BitStack { Blocks = 3, Rank = 1 }]), ("second", [new BitStack { Blocks = 2, Rank = 1 }]));
        Plan(new NeverRun(recipe)).Phases.Select(phase => (phase.Name, phase.Units, phase.Cached)).ShouldBe([("statistics", 2, 0), ("solve", 2, 0), ("order", 3, 0), ("evaluate", 2, 0)]);
        project.NewRun().Execute(new TwoLayersPipeline(recipe));
        Plan(new NeverRun(recipe)).Phases.ShouldAllBe(phase => phase.Cached == phase.Units);

        var trained = TwoLayersProject.Recipe(("*", [new Lora { Rank = 2 }])) with { Train = new(new TrainAttribute(TwoLayersProject.DataFile) { Steps = 3 }, default, TwoLayersProject.Span(6), TwoLayersProject.Span(6)) };
        Plan(new NeverRun(trained)).Phases.Single(phase => phase.Name == "train").Cached.ShouldBe(0);
        project.NewRun().Execute(new TwoLayersPipeline(trained));
        Plan(new NeverRun(trained)).Phases.ShouldAllBe(phase => phase.Cached == phase.Units);
    }

    [Fact]
    public void Times_are_those_of_earlier_runs_where_there_are_some()
    {
        var run = project.NewRun();
        run.Execute(new TwoLayersPipeline(Balanced()));
        var rates = WorkRates.Of(run.Journal);
        var plan = Plan(new NeverRun(Balanced()), rates, cache: "other");
        plan.Layers.ShouldAllBe(layer => layer.IsMeasured);

        double measured = run.Journal.Where(entry => entry.StartsWith("work cpu quantize ", StringComparison.Ordinal)).Sum(entry => double.Parse(entry.Split(' ')[4], System.Globalization.CultureInfo.InvariantCulture));
        plan.Layers.Single(layer => layer.Path == "second").Seconds.ShouldBe(measured, 1e-9);
    }

    [Fact]
    public void The_file_says_what_the_plan_says_and_the_table_has_a_line_a_layer()
    {
        var plan = Plan(new NeverRun(Balanced()));
        var read = PlanText.Read(PlanText.ToJson([plan])).ShouldHaveSingleItem();
        PlanText.ToJson([read]).ShouldBe(PlanText.ToJson([plan]));
        using var json = System.Text.Json.JsonDocument.Parse(PlanText.ToJson([plan]));
        var layer = json.RootElement.GetProperty("recipes")[0].GetProperty("layers")[2];
        layer.EnumerateObject().Select(item => item.Name).ShouldBe(
            ["path", "kind", "shape", "steps", "isOpen", "bytesBefore", "bytesAfter", "seconds", "memoryBytes", "isMeasured", "isCached", "waitsFor", "summary"], ignoreOrder: true);
        Should.Throw<System.Text.Json.JsonException>(() => PlanText.Read("{}"));

        var lines = PlanText.ToLines(plan);
        lines[0].ShouldBe("small: plan of PipelineDsl.Runtime.Tests.Engine.TwoLayers on cpu");
        lines.ShouldContain(line => line.Contains(" decompose { orientation: context, rank: 2 } | quantize { bits: 4, groupSize: ") && line.EndsWith("no (statistics)", StringComparison.Ordinal));
    }

    [Fact]
    public void Every_step_has_a_cost()
    {
        foreach (var step in StepCatalog.Steps.Select(descriptor => descriptor.Create()).Where(step => step.Stage is Stage.Decompose or Stage.Quantize))
        {
            CostModel.Operations(step, 64, 32, knowsInputs: true).ShouldBeInRange(1, 1e12, StepCatalog.Of(step).Name);
        }
    }

    void IRunObserver.Report(RecipeDiagnostic diagnostic) => diagnostics.Enqueue(diagnostic);

    void IRunObserver.Progress(string message)
    {
    }

    void IRunObserver.Record(string entry) => Assert.Fail("a plan does nothing");

    private static Recipe Open(AllocationMethod method) => TwoLayersProject.Recipe(("{first,twin}", [new Decompose { Orientation = Orientation.Whitened }])) with
    {
        Budget = Budget.Parse("1500 B", TwoLayersProject.Span(5), out _),
        Allocate = method,
    };

    private PlanReport Plan(IModelPipeline pipeline, WorkRates? rates = null, bool locked = false, string code = "1", string cache = "cache") => new PlanRunner(
        new RunOptions
        {
            ProjectDirectory = project.Folder,
            OutputDirectory = project.In("models"),
            CacheDirectory = project.In(cache),
            CodeFingerprint = code,
            Cores = 2,
            LockedMode = locked,
        },
        this,
        rates ?? WorkRates.None).Plan(pipeline, CancellationToken.None);

    private string[] Files() => [.. Directory.EnumerateFileSystemEntries(project.Folder, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];

    /// <summary>A pipeline through which nothing may flow.</summary>
    private sealed class NeverRun(Recipe recipe) : ModelPipeline<TwoLayers>
    {
        public override Recipe Recipe { get; } = recipe;

        public override TwoLayers CreateModel() => new();

        public override TorchSharp.torch.Tensor Run(TwoLayers model, Batch batch) => throw new InvalidOperationException("a plan runs no model");
    }
}
