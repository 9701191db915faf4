using System.Reflection;
using System.Runtime.Loader;
using System.Text;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Measurement;
using PipelineDsl.Runtime.Native;
using PipelineDsl.Runtime.Planning;
using PipelineDsl.Runtime.Report;
using TorchSharp;

namespace PipelineDsl.Host;

/// <summary>Runs every pipeline of an assembly.</summary>
internal static class Worker
{
    private const string TurnFile = "run.claim";

    /// <summary>Runs a request; whatever is wrong was reported when it returns.</summary>
    public static ExitCode Run(Request request, CancellationToken cancellation)
    {
        string folder = Path.GetDirectoryName(request.Journal)!;
        Directory.CreateDirectory(folder);
        var observer = new ConsoleObserver(request);
        return Reporting(request, observer, () =>
        {
            if (request.Verb == "plan")
            {
                // It changes nothing, so it need not wait for who does.
                return CodeOf(PlanAll(request, observer, cancellation));
            }

            // Builds of one project at once leave their artifacts in one place: they take turns, and who comes second finds the work done.
            using var turn = Claim.Take(Path.Combine(folder, TurnFile), () => observer.Progress("waiting for another build of this project"), cancellation);
            if (request.Verb == "evaluate")
            {
                return CodeOf(EvaluateAll(request, observer, cancellation));
            }

            observer.Record("run");
            WriteLog(request, folder, observer, succeeded: false); // what is left when the process dies
            var code = Reporting(request, observer, () => CodeOf(RunAll(request, observer, cancellation)));
            WriteLog(request, folder, observer, code == ExitCode.Done);
            return code;
        });
    }

    private static ExitCode CodeOf(bool succeeded) => succeeded ? ExitCode.Done : ExitCode.Diagnosed;

    /// <summary>What is said of a failure that nobody foresaw.</summary>
    public static RecipeDiagnostic Unforeseen(Exception failure, string path) => new(
        DiagnosticIds.InternalError,
        Severity.Error,
        $"the pipeline itself failed: {failure.GetType().Name}: {failure.Message.Split('\n')[0].Trim()}; build with -v:detailed for the whole story, and report it",
        SourceSpan.StartOf(path));

    private static ExitCode Reporting(Request request, ConsoleObserver observer, Func<ExitCode> work)
    {
        try
        {
            return work();
        }
        catch (PipelineException failure)
        {
            observer.Report(failure.Diagnostic);
            return ExitCode.Diagnosed;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            observer.Report(new(DiagnosticIds.FileFailed, Severity.Error, $"{failure.Message.TrimEnd('.')}; make room or free the file and build again, finished layers are kept", SourceSpan.StartOf(request.OutputDirectory)));
            return ExitCode.Diagnosed;
        }
        catch (OperationCanceledException)
        {
            return ExitCode.Cancelled;
        }
        catch (Exception failure)
        {
            Console.Error.WriteLine(failure);
            observer.Report(Unforeseen(failure, request.ProjectFile));
            return ExitCode.Internal;
        }
    }

    private static bool RunAll(Request request, ConsoleObserver observer, CancellationToken cancellation)
    {
        var assembly = Load(request);
        var runner = new PipelineRunner(OptionsFor(request), observer);
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
        var runner = new PlanRunner(OptionsFor(request), observer, WorkRates.Read(request.Journal));
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
        var runner = new EvaluationRunner(OptionsFor(request), observer);
        var (reports, succeeded) = ForAll(assembly, observer, pipeline => runner.Evaluate(pipeline, cancellation));
        WriteResult(request, EvaluationRunner.ToJson([.. reports.OfType<EvaluationReport>()]));
        return succeeded && reports.TrueForAll(report => report?.Passed != false);
    }

    private static void WriteResult(Request request, string text) => AtomicFile.Write(request.Result, stream => stream.Write(Encoding.UTF8.GetBytes(text)));

    private static Assembly Load(Request request)
    {
        NativeLibraries.Load();
        torch.set_num_threads(1);
        if (LimitOf(request) is not null)
        {
            NativeHeap.ReturnFreedMemory();
        }

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

    private static RunOptions OptionsFor(Request request) => new()
    {
        ProjectDirectory = request.ProjectDirectory,
        OutputDirectory = request.OutputDirectory,
        CacheDirectory = request.CacheDirectory.Length > 0 ? request.CacheDirectory : UserCache.Folder,
        CacheServer = ServerFor(request),
        Cores = request.Threads > 0 ? request.Threads : Math.Max(1, request.Cores),
        MemoryLimit = LimitOf(request),
        Device = DeviceFor(request),
        LockedMode = request.LockedMode,
        ShapesOnly = true,
        UpdateLock = request.UpdateLock,
    };

    private static long? LimitOf(Request request) => request.MemoryLimit.Trim().Length == 0 ? null
        : Budget.Parse(request.MemoryLimit, SourceSpan.StartOf(request.ProjectFile), out _) is { Unit: BudgetUnit.Bytes } size ? (long)size.Amount
        : throw new PipelineException(DiagnosticIds.InvalidBuildProperty, $"PipelineDslMemoryLimit is '{request.MemoryLimit}'; use a size such as '2 GB' or '600 MB', or leave it empty for no limit", request.ProjectFile);

    /// <summary>Neither message repeats what it speaks of: an address may hold a password.</summary>
    private static CacheServer? ServerFor(Request request)
    {
        if (request.CacheUrl.Length == 0)
        {
            return null;
        }

        string? token = Environment.GetEnvironmentVariable(CacheServer.TokenVariable) is { Length: > 0 } given ? given : null;
        return CacheServer.ParseAddress(request.CacheUrl) is not { } address
            ? throw new PipelineException(DiagnosticIds.InvalidBuildProperty, $"PipelineDslCacheUrl is no address of a cache server; use 'https://host/path', without user name or password (a token comes from the environment variable {CacheServer.TokenVariable})", request.ProjectFile)
            : token is not null && !CacheServer.IsToken(token)
            ? throw new PipelineException(DiagnosticIds.InvalidBuildProperty, $"the token in the environment variable {CacheServer.TokenVariable} holds white space or other characters that cannot be sent; set it again", request.ProjectFile)
            : new() { Address = address, ReadOnly = request.CacheReadOnly, Token = token, Place = request.ProjectFile };
    }

    private static string DeviceFor(Request request)
    {
        bool available = request.Device != "cpu" && torch.cuda_is_available();
        return request.Device == "cuda" && !available
            ? throw new PipelineException(DiagnosticIds.NativeLibraryNotLoaded, "PipelineDslDevice is 'cuda' and there is no CUDA device or no CUDA build of libtorch; set TorchBackend, or use 'auto' or 'cpu'", request.ProjectFile)
            : available ? "cuda" : "cpu";
    }

    /// <summary>What the build needs to know to copy, clean and skip; each list appears whole or not at all, the artifacts last.</summary>
    private static void WriteLists(Request request, ConsoleObserver observer, List<RunResult> results)
    {
        string folder = Path.GetDirectoryName(request.ArtifactsList)!;
        RemoveStale(request.OutputDirectory, results);
        WriteLines(Path.Combine(folder, "inputs.list"), results.SelectMany(result => result.Inputs).Distinct().Order(StringComparer.Ordinal));
        WriteLines(Path.Combine(folder, "diagnostics.list"), observer.Lasting);
        WriteLines(request.ArtifactsList, results.SelectMany(result => result.Files.Select(file => $"{file}|models/{Path.GetRelativePath(request.OutputDirectory, file).Replace('\\', '/')}")));
    }

    /// <summary>What was said so far, for services that annotate lines.</summary>
    private static void WriteLog(Request request, string folder, ConsoleObserver observer, bool succeeded)
    {
        string log = SarifLog.Write(request.ProjectDirectory, SarifLog.RootOf(request.ProjectDirectory), TensorLibrary.Engine, observer.Diagnostics, succeeded);
        AtomicFile.Write(Path.Combine(folder, SarifLog.FileName), stream => stream.Write(Encoding.UTF8.GetBytes(log)));
    }

    private static void WriteLines(string path, IEnumerable<string> lines) =>
        AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(string.Concat(lines.Select(line => line + "\n")))));

    /// <summary>Artifacts of recipes that are gone go too, and the reports of what was refused before.</summary>
    private static void RemoveStale(string outputDirectory, List<RunResult> results)
    {
        string refused = ArtifactWriter.RefusedFolder(outputDirectory);
        if (Directory.Exists(refused))
        {
            Directory.Delete(refused, recursive: true);
        }

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
