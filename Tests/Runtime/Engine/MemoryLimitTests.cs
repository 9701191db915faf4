using System.Collections.Concurrent;
using PipelineDsl.Diagnostics;
using PipelineDsl.Plans;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Tests.Formats;

namespace PipelineDsl.Runtime.Tests.Engine;

public sealed class MemoryLimitTests : IDisposable, IRunObserver
{
    private const int Width = 64;

    private readonly string folder = Directory.CreateTempSubdirectory("pdsl-memory-").FullName;
    private readonly ConcurrentQueue<RecipeDiagnostic> reported = [];
    private readonly ConcurrentQueue<string> journal = [];

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void The_smallest_limit_that_a_refusal_names_is_kept_and_changes_no_byte()
    {
        var pipeline = new LayerStackPipeline(Width, 8);
        pipeline.WriteWeights(folder);
        var refusal = Should.Throw<PipelineException>(() => Run(pipeline, "small", 240L << 20));
        refusal.Diagnostic.Id.ShouldBe(DiagnosticIds.MemoryLimitNotAttainable);
        journal.ShouldBeEmpty();
        string said = refusal.Diagnostic.Message;
        said.ShouldContain("takes 241 MB of memory at least and PipelineDslMemoryLimit allows 240 MB: 240 MB for the program");

        var limited = Run(pipeline, "limited", 241L << 20);
        var free = Run(pipeline, "free", null);
        File.ReadAllBytes(limited).ShouldBe(File.ReadAllBytes(free));
        reported.ShouldBeEmpty();
    }

    [Fact]
    public void A_model_that_steps_run_is_counted_with_its_statistics()
    {
        var shape = new LayerShape(LayerKinds.Linear, 1000, 2000);
        var layer = new PlannedLayer("p", shape, new([new Quantize { Bits = 4 }]), 8_000_000, 1_000_000, TwoLayersProject.Span(1));
        var recipe = new LayerStackPipeline(Width, 8).Recipe;
        long free = MemoryPlan.Of(recipe, [layer], 0, 8_000_000).Smallest;
        free.ShouldBe(MemoryPlan.Base + 12_000_000);
        MemoryPlan.Of(recipe, [layer], 50_000_000, 8_000_000).Smallest.ShouldBe(free + 50_000_000);

        var gptq = layer with { Steps = new([new Gptq { Bits = 4 }]) };
        long statistics = 2000 * 2000 * 8;
        MemoryPlan.Of(recipe, [gptq], 50_000_000, 8_000_000).Smallest.ShouldBe(MemoryPlan.Base + 50_000_000 + statistics + (16 * 8_000_000));
        MemoryPlan.Of(recipe, [.. Enumerable.Range(0, 20).Select(i => gptq with { Path = $"p{i}" })], 50_000_000, 8_000_000).Smallest
            .ShouldBe(MemoryPlan.Base + 50_000_000 + (20 * statistics));
    }

    [Fact]
    public void Solved_layers_are_not_in_memory_until_somebody_asks()
    {
        var pipeline = new LayerStackPipeline(Width, _ => new Quantize { Bits = 4 });
        pipeline.WriteWeights(folder);
        using var run = new Planner(Options("models", null), this).Prepare(pipeline);
        List<LayerUnit> units = [.. run.Layers.Select(item => new LayerUnit(run, item.Plan, item.Layer))];
        var phase = new SolvePhase(run, new ContentStore(Path.Combine(folder, "cache")), Options("models", null), this);
        SolvedLayers? solved = null;
        TensorCount.GrowthOf(() => solved = phase.Solve(units, new Dictionary<string, string>(), CancellationToken.None)).ShouldBe(0);
        using (solved)
        {
            TensorCount.GrowthOf(() => ArtifactWriter.Stage(run, solved!, Path.Combine(folder, "models")).Dispose()).ShouldBe(0);
            solved!.Layers.Values.First().Summary.WeightBytes.ShouldBe(solved.Layers.Values.First().Result.Weight.Bytes);
        }
    }

    [Fact]
    public void What_is_taken_at_once_stays_within_the_limit()
    {
        var gate = new MemoryGate(100);
        long taken = 0;
        long most = 0;
        Parallel.For(0, 200, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i =>
        {
            long bytes = 10 + (i % 4 * 20);
            using var share = gate.Take(bytes, CancellationToken.None);
            long now = Interlocked.Add(ref taken, bytes);
            InterlockedMax(ref most, now);
            Thread.Yield();
            Interlocked.Add(ref taken, -bytes);
        });
        most.ShouldBeLessThanOrEqualTo(100);

        using var first = gate.Take(50, CancellationToken.None);
        using var second = gate.Take(50, CancellationToken.None);
    }

    [Fact]
    public void A_wait_for_memory_ends_when_the_run_is_cancelled()
    {
        var gate = new MemoryGate(100);
        using var share = gate.Take(60, CancellationToken.None);
        using var cancellation = new CancellationTokenSource(TimeSpan.FromMilliseconds(50));
        Should.Throw<OperationCanceledException>(() => gate.Take(60, cancellation.Token));
    }

    [Fact]
    public void Work_that_needs_more_than_planned_begins_anew_or_is_refused()
    {
        var shape = new LayerShape(LayerKinds.Linear, 1000, 1000);
        var layer = new PlannedLayer("p", shape, new([new Quantize { Bits = 4 }]), 4_000_000, 500_000, TwoLayersProject.Span(1));
        var recipe = new LayerStackPipeline(Width, 8).Recipe;
        var plan = MemoryPlan.Of(recipe, [layer], 0, 4_000_000);
        var memory = new SolvingMemory(recipe, plan, MemoryPlan.Base + 50_000_000);
        int attempts = 0;
        memory.Within(layer, () =>
        {
            attempts++;
            WorkingMemory.Require(40_000_000);
            return attempts;
        }, CancellationToken.None).ShouldBe(2);

        var refusal = Should.Throw<PipelineException>(() => memory.Within(layer, () =>
        {
            WorkingMemory.Require(LeftSvd.CompleteBytes(1000, 1000));
            return 0;
        }, CancellationToken.None)).Diagnostic;
        refusal.Id.ShouldBe(DiagnosticIds.MemoryLimitNotAttainable);
        refusal.Message.ShouldContain("layer 'p' falls too slowly");
        new SolvingMemory(recipe, plan, null).Within(layer, () =>
        {
            WorkingMemory.Require(long.MaxValue);
            return 1;
        }, CancellationToken.None).ShouldBe(1);
    }

    void IRunObserver.Report(RecipeDiagnostic diagnostic) => reported.Enqueue(diagnostic);

    void IRunObserver.Progress(string message)
    {
    }

    void IRunObserver.Record(string entry) => journal.Enqueue(entry);

    private static void InterlockedMax(ref long place, long value)
    {
        for (long seen = Interlocked.Read(ref place); seen < value; seen = Interlocked.Read(ref place))
        {
            Interlocked.CompareExchange(ref place, value, seen);
        }
    }

    private string Run(LayerStackPipeline pipeline, string output, long? limit)
    {
        new PipelineRunner(Options(output, limit), this).Run(pipeline, CancellationToken.None);
        return Path.Combine(folder, output, "stack", ArtifactFiles.Weights);
    }

    private RunOptions Options(string output, long? limit) => new()
    {
        ProjectDirectory = folder,
        OutputDirectory = Path.Combine(folder, output),
        CacheDirectory = Path.Combine(folder, output + "-cache"),
        CodeFingerprint = "",
        Cores = 4,
        MemoryLimit = limit,
        UpdateLock = true,
    };
}
