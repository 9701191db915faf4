using System.Collections.Concurrent;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Engine;

namespace PipelineDsl.Runtime.Tests.Engine;

/// <summary>One run of a recipe, with everything it said.</summary>
internal sealed class Run(TwoLayersProject project, string output, string cache, bool locked, bool updateLock) : IRunObserver
{
    public ConcurrentQueue<RecipeDiagnostic> Diagnostics { get; } = [];

    public ConcurrentQueue<string> Journal { get; } = [];

    public IEnumerable<string> SolvedLayers => Journal.Where(entry => entry.StartsWith("layer ", StringComparison.Ordinal)).Select(entry => entry.Split(' ')[2]).Order(StringComparer.Ordinal);

    public string Artifact => project.In(Path.Combine(output, "small"));

    public byte[] Bytes(string file) => File.ReadAllBytes(Path.Combine(Artifact, file));

    /// <summary>A server behind the cache.</summary>
    public CacheServer? Server { get; init; }

    /// <summary>Called with each journal entry, in the midst of the run.</summary>
    public Action<string>? Recorded { get; set; }

    public RunResult Execute(IModelPipeline pipeline, string code = "1", int cores = 2, string device = "cpu", CancellationToken cancellation = default) =>
        new PipelineRunner(
            new RunOptions
            {
                ProjectDirectory = project.Folder,
                OutputDirectory = project.In(output),
                CacheDirectory = project.In(cache),
                CacheServer = Server,
                CodeFingerprint = code,
                Cores = cores,
                Device = device,
                LockedMode = locked,
                UpdateLock = updateLock,
            },
            this).Run(pipeline, cancellation);

    public void Report(RecipeDiagnostic diagnostic) => Diagnostics.Enqueue(diagnostic);

    public void Progress(string message)
    {
    }

    public void Record(string entry)
    {
        Journal.Enqueue(entry);
        Recorded?.Invoke(entry);
    }
}
