using System.Reflection;
using System.Runtime.Loader;
using System.Text;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Measurement;
using PipelineDsl.Runtime.Native;
using PipelineDsl.Runtime.Planning;
using TorchSharp;

namespace PipelineDsl.Host;

/// <summary>Runs every pipeline of an assembly.</summary>
internal static class Worker
{
    private const string TurnFile = "run.claim";

    /// <summary>Runs a request; false when something is wrong, which was then reported.</summary>
    public static bool Run(Request request, CancellationToken cancellation)
    {
        string folder = Path.GetDirectoryName(request.Journal)!;
        Directory.CreateDirectory(folder);
        var observer = new ConsoleObserver(request);
        try
        {
            if (request.Verb == "plan")
            {
                // It changes nothing, so it need not wait for who does.
                return PlanAll(request, observer, cancellation);
            }

            // Builds of one project at once leave their artifacts in one place: they take turns, and who comes second finds the work done.
            using var turn = Claim.Take(Path.Combine(folder, TurnFile), () => observer.Progress("waiting for another build of this project"), cancellation);
            if (request.Verb == "evaluate")
            {
                return EvaluateAll(request, observer, cancellation);
            }

            observer.Record("run");
            return RunAll(request, observer, cancellation);
        }
        catch (PipelineException failure)
        {
            observer.Report(failure.Diagnostic);
            return false;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            observer.Report(new(DiagnosticIds.FileFailed, Severity.Error, $"{failure.Message.TrimEnd('.')}; make room or free the file and build again, finished layers are kept", SourceSpan.StartOf(request.OutputDirectory)));
            return false;
        }
    }

    private static bool RunAll(Request request, ConsoleObserver observer, CancellationToken cancellation)
    {
        var assembly = Load(request);
        var runner = new PipelineRunner(OptionsFor(request, assembly), observer);
        var (results, succeeded) = ForAll(assembly, observer, pipeline => runner.Run(pipeline, cancellation));
        if (succeeded)
        {
            WriteLists(request, observer, results);
        }

        return succeeded;
    }

    private static bool PlanAll(Request request, ConsoleObserver observer, CancellationToken cancellation)
    {
        var assembly = Load(request);
        var runner = new PlanRunner(OptionsFor(request, assembly), observer, WorkRates.Read(request.Journal));
        var (plans, succeeded) = ForAll(assembly, observer, pipeline => runner.Plan(pipeline, cancellation));
        foreach (string line in plans.SelectMany(PlanText.ToLines))
        {
            observer.Progress(line);
        }

        if (succeeded)
        {
            WriteResult(request, PlanText.ToJson(plans));
        }

        return succeeded;
    }

    private static bool EvaluateAll(Request request, ConsoleObserver observer, CancellationToken cancellation)
    {
        var assembly = Load(request);
        var runner = new EvaluationRunner(OptionsFor(request, assembly), observer);
        var (reports, succeeded) = ForAll(assembly, observer, pipeline => runner.Evaluate(pipeline, cancellation));
        WriteResult(request, EvaluationRunner.ToJson([.. reports.OfType<EvaluationReport>()]));
        return succeeded && reports.TrueForAll(report => report?.Passed != false);
    }

    private static void WriteResult(Request request, string text) => AtomicFile.Write(request.Result, stream => stream.Write(Encoding.UTF8.GetBytes(text)));

    private static Assembly Load(Request request)
    {
        NativeLibraries.Load();
        torch.set_num_threads(1);
        return AssemblyLoadContext.Default.LoadFromAssemblyPath(request.Assembly);
    }

    /// <summary>Goes on after a recipe that fails, so that all mistakes are told at once.</summary>
    private static (List<T> Results, bool Succeeded) ForAll<T>(Assembly assembly, ConsoleObserver observer, Func<IModelPipeline, T> run)
    {
        var results = new List<T>();
        bool succeeded = true;
        foreach (var pipeline in Pipelines(assembly))
        {
            try
            {
                results.Add(run(pipeline));
            }
            catch (PipelineException failure)
            {
                observer.Report(failure.Diagnostic);
                succeeded = false;
            }
            catch (RunFailedException)
            {
                succeeded = false;
            }
        }

        return (results, succeeded);
    }

    private static IEnumerable<IModelPipeline> Pipelines(Assembly assembly) => assembly.GetCustomAttributes<PipelineEntryAttribute>()
        .Select(entry => (IModelPipeline)Activator.CreateInstance(entry.Pipeline)!)
        .OrderBy(pipeline => pipeline.Recipe.Name, StringComparer.Ordinal);

    private static RunOptions OptionsFor(Request request, Assembly assembly) => new()
    {
        ProjectDirectory = request.ProjectDirectory,
        OutputDirectory = request.OutputDirectory,
        CacheDirectory = request.CacheDirectory.Length > 0 ? request.CacheDirectory : UserCache(),
        Cores = request.Threads > 0 ? request.Threads : Math.Max(1, request.Cores),
        Device = DeviceFor(request),
        LockedMode = request.LockedMode,
        ShapesOnly = true,
        UpdateLock = request.UpdateLock,
        CodeFingerprint = CodeFingerprint.Of(assembly),
    };

    private static string DeviceFor(Request request)
    {
        bool available = request.Device != "cpu" && torch.cuda_is_available();
        return request.Device == "cuda" && !available
            ? throw new PipelineException(DiagnosticIds.NativeLibraryNotLoaded, "PipelineDslDevice is 'cuda' and there is no CUDA device or no CUDA build of libtorch; set TorchBackend, or use 'auto' or 'cpu'", request.ProjectFile)
            : available ? "cuda" : "cpu";
    }

    private static string UserCache()
    {
        string home = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } chosen
            ? chosen
            : OperatingSystem.IsWindows()
                ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
                : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        return Path.Combine(home, "pipelinedsl", "units");
    }

    /// <summary>What the build needs to know to copy, clean and skip; each list appears whole or not at all, the artifacts last.</summary>
    private static void WriteLists(Request request, ConsoleObserver observer, List<RunResult> results)
    {
        string folder = Path.GetDirectoryName(request.ArtifactsList)!;
        RemoveStale(request.OutputDirectory, results);
        WriteLines(Path.Combine(folder, "inputs.list"), results.SelectMany(result => result.Inputs).Distinct().Order(StringComparer.Ordinal));
        WriteLines(Path.Combine(folder, "diagnostics.list"), observer.Diagnostics);
        WriteLines(request.ArtifactsList, results.SelectMany(result => result.Files.Select(file => $"{file}|models/{Path.GetRelativePath(request.OutputDirectory, file).Replace('\\', '/')}")));
    }

    private static void WriteLines(string path, IEnumerable<string> lines) =>
        AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(string.Concat(lines.Select(line => line + "\n")))));

    /// <summary>Artifacts of recipes that are gone go too.</summary>
    private static void RemoveStale(string outputDirectory, List<RunResult> results)
    {
        if (!Directory.Exists(outputDirectory))
        {
            return;
        }

        foreach (string folder in Directory.GetDirectories(outputDirectory).Where(folder => results.All(result => result.Recipe != Path.GetFileName(folder))))
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
