using System.Reflection;
using System.Runtime.Loader;
using System.Text;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Native;
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
            // Builds of one project at once leave their artifacts in one place: they take turns, and who comes second finds the work done.
            using var turn = Claim.Take(Path.Combine(folder, TurnFile), () => observer.Progress("waiting for another build of this project"), cancellation);
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
        NativeLibraries.Load();
        torch.set_num_threads(1);
        var assembly = AssemblyLoadContext.Default.LoadFromAssemblyPath(request.Assembly);
        var options = OptionsFor(request, assembly);
        if (options.MemoryLimit is not null)
        {
            NativeHeap.ReturnFreedMemory();
        }

        var runner = new PipelineRunner(options, observer);
        var results = new List<RunResult>();
        bool succeeded = true;
        foreach (var pipeline in Pipelines(assembly))
        {
            try
            {
                results.Add(runner.Run(pipeline, cancellation));
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

        if (succeeded)
        {
            WriteLists(request, observer, results);
        }

        return succeeded;
    }

    private static IEnumerable<IModelPipeline> Pipelines(Assembly assembly) => assembly.GetCustomAttributes<PipelineEntryAttribute>()
        .Select(entry => (IModelPipeline)Activator.CreateInstance(entry.Pipeline)!)
        .OrderBy(pipeline => pipeline.Recipe.Name, StringComparer.Ordinal);

    private static RunOptions OptionsFor(Request request, Assembly assembly) => new()
    {
        ProjectDirectory = request.ProjectDirectory,
        OutputDirectory = request.OutputDirectory,
        CacheDirectory = request.CacheDirectory.Length > 0 ? request.CacheDirectory : UserCache(),
        CacheServer = ServerFor(request),
        Cores = request.Threads > 0 ? request.Threads : Math.Max(1, request.Cores),
        MemoryLimit = LimitOf(request),
        Device = DeviceFor(request),
        LockedMode = request.LockedMode,
        ShapesOnly = true,
        UpdateLock = request.UpdateLock,
        CodeFingerprint = CodeFingerprint.Of(assembly),
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
        WriteLines(Path.Combine(folder, "diagnostics.list"), observer.Lasting);
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
