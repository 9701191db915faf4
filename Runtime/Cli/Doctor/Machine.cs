using System.Runtime.InteropServices;
using System.Text.Json;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Native;
using PipelineDsl.Runtime.Report;
using PipelineDsl.Tasks;

namespace PipelineDsl.Cli.Doctor;

/// <summary>Looks at what pipelines need of a machine. Nothing is loaded into this process.</summary>
/// <param name="cacheFolder">The cache that is looked at.</param>
internal sealed class Machine(string cacheFolder)
{
    private const int NeededSdk = 10;
    private const long LittleSpace = 2L << 30;
    private const long NoSpace = 200L << 20;

    /// <summary>The option by which this program starts itself to try libtorch.</summary>
    public const string ProbeOption = "--probe";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    /// <summary>Looks at everything.</summary>
    public async Task<IReadOnlyList<Check>> Checks(CancellationToken cancellation)
    {
        var checks = new List<Check> { System(), await Sdk(cancellation) };
        var (library, path) = CppLibrary();
        checks.Add(library);
        checks.Add(await TensorLibrary(library, path, cancellation));
        checks.Add(await Cuda(cancellation));
        checks.Add(Cache());
        return checks;
    }

    private static Check System()
    {
        string memory = Figures.Bytes(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);
        string text = $"{RuntimeInformation.OSDescription}, {RuntimeInformation.RuntimeIdentifier}, {Environment.ProcessorCount} cores, {memory} memory";
        bool known = RuntimeInformation.OSArchitecture == (OperatingSystem.IsMacOS() ? Architecture.Arm64 : Architecture.X64);
        return known ? new("system", CheckState.Ok, text)
            : new("system", CheckState.Bad, text, "libtorch is there for Linux and Windows on x64 and for macOS on arm64; use one of these", DiagnosticIds.NativeLibraryNotLoaded);
    }

    private static async Task<Check> Sdk(CancellationToken cancellation)
    {
        const string Cure = "install the .NET 10 SDK from https://dot.net and put 'dotnet' on the path";
        // In the folder of the system's temporary files no global.json chooses.
        var result = await Child.Run(Child.DotNet, ["--version"], cancellation, folder: Path.GetTempPath());
        return result is not { ExitCode: 0 } found ? new(".NET SDK", CheckState.Bad, "there is none", Cure, DiagnosticIds.CommandNotPossible)
            : int.TryParse(found.Output.Split('.')[0], out int major) && major >= NeededSdk ? new(".NET SDK", CheckState.Ok, found.Output.Trim())
            : new(".NET SDK", CheckState.Bad, $"{found.Output.Trim()}, which is too old", Cure, DiagnosticIds.CommandNotPossible);
    }

    private static (Check Check, string? LibraryPath) CppLibrary()
    {
        const string Name = "C++ library";
        if (LibStdCppShim.Find() is not { } library)
        {
            return (new(Name, CheckState.Ok, "none of the system's is needed"), null);
        }

        string level = $"GLIBCXX_{library.Newest} in {library.Library}";
        if (library.ShimFolder is not { } folder)
        {
            return (new(Name, CheckState.Ok, level), null);
        }

        bool wasThere = Directory.Exists(folder);
        try
        {
            string? path = LibStdCppShim.LibraryPath();
            return (new(Name, CheckState.Ok, $"{level}, older than libtorch needs; a bridge over the gap {(wasThere ? "is" : "was made")} in {folder}"), path);
        }
        catch (LibStdCppShimException failure)
        {
            var (what, how) = Parts(failure.Message);
            return (new(Name, CheckState.Bad, what, how, DiagnosticIds.OldSystemLibrary), null);
        }
    }

    /// <summary>What is wrong, and what to do about it, which a message says last.</summary>
    private static (string What, string? How) Parts(string message)
    {
        int end = message.LastIndexOf("; ", StringComparison.Ordinal);
        return end < 0 ? (message, null) : (message[..end], message[(end + 2)..]);
    }

    private static async Task<Check> TensorLibrary(Check library, string? libraryPath, CancellationToken cancellation)
    {
        const string Name = "libtorch";
        (string Folder, string Origin) place;
        try
        {
            if (NativeLibraries.Find(NativeLibraries.ChosenFolder) is not { } found)
            {
                return new(Name, CheckState.Warning, $"{NativeLibraries.Version} is not there yet", "the first build of a project restores it; that takes a while");
            }

            place = found;
        }
        catch (PipelineException failure)
        {
            var (what, how) = Parts(failure.Diagnostic.Message);
            return new(Name, CheckState.Bad, what, how, DiagnosticIds.NativeLibraryNotLoaded);
        }

        string where = $"in {place.Folder} ({place.Origin})";
        if (library.State == CheckState.Bad)
        {
            return new(Name, CheckState.Warning, $"{where}, not tried, because the C++ library is too old", "mend that first");
        }

        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(Patience);
        try
        {
            var environment = new Dictionary<string, string?> { [NativeLibraries.FolderVariable] = place.Folder };
            if (libraryPath is not null)
            {
                environment[LibStdCppShim.Variable] = libraryPath;
            }

            string self = typeof(Machine).Assembly.Location;
            var result = await Child.Run(Child.DotNet, ["exec", self, "doctor", ProbeOption], patience.Token, environment);
            return result is { ExitCode: 0 } done && JsonDocument.Parse(done.Output).RootElement is var found
                ? new(Name, CheckState.Ok, $"{found.GetProperty("version").GetString()}, loaded {where}{(found.GetProperty("devices").GetInt64() is > 0 and var devices ? $", {Figures.Count(devices, "CUDA device")}" : "")}")
                : new(Name, CheckState.Bad, $"{where} cannot be loaded: {Words(result)}", $"check that the files are complete, or set {NativeLibraries.FolderVariable} to a folder that holds libtorch {NativeLibraries.Version}", DiagnosticIds.NativeLibraryNotLoaded);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return new(Name, CheckState.Bad, $"{where} did not load within {Figures.Seconds(Patience.TotalSeconds)}", "look at the disk or network that holds it", DiagnosticIds.NativeLibraryNotLoaded);
        }
    }

    /// <summary>Why a program failed, in its own words: its coded error, or else the first thing that it said.</summary>
    private static string Words((int ExitCode, string Output, string Errors)? result)
    {
        if (result is not { } done)
        {
            return "it does not start";
        }

        string[] lines = done.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        string? coded = lines.FirstOrDefault(line => line.Contains(": error PDSL", StringComparison.Ordinal));
        return coded is not null ? coded[(coded.IndexOf(": error PDSL", StringComparison.Ordinal) + ": error PDSL0000: ".Length)..]
            : lines.FirstOrDefault() ?? $"it ended with exit code {done.ExitCode}";
    }

    private static async Task<Check> Cuda(CancellationToken cancellation)
    {
        const string Name = "CUDA";
        string[] packages =
        [
            .. NativeLibraries.PackageFolders.Where(Directory.Exists).SelectMany(folder => Directory.GetDirectories(folder, "libtorch-cuda-*"))
                .Select(Path.GetFileName).OfType<string>().Where(name => !name.Contains("-part", StringComparison.Ordinal)).Distinct().Order(StringComparer.Ordinal),
        ];
        string restored = packages.Length > 0 ? $"packages: {string.Join(", ", packages)}" : "no CUDA packages are restored";
        if (OperatingSystem.IsMacOS())
        {
            return new(Name, CheckState.Ok, "not on macOS");
        }

        string backend = OperatingSystem.IsWindows() ? "cuda-windows" : "cuda-linux";
        var result = await Child.Run("nvidia-smi", ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"], cancellation);
        return result switch
        {
            null => new(Name, CheckState.Ok, $"no NVIDIA driver, so everything runs on the CPU; {restored}"),
            { ExitCode: not 0 } failed => new(Name, CheckState.Warning, $"the NVIDIA driver does not answer: {Words((failed.ExitCode, "", failed.Output + "\n" + failed.Errors))}", "install the driver again, or set PipelineDslDevice to 'cpu'"),
            { } found => new(Name, CheckState.Ok, $"{found.Output.Trim().Replace("\n", "; ", StringComparison.Ordinal)}; {restored}", packages.Length > 0 ? null : $"to use it, set the property TorchBackend to '{backend}' in a project"),
        };
    }

    private Check Cache()
    {
        const string Name = "cache";
        const string Cure = "set PipelineDslCacheDirectory, or XDG_CACHE_HOME, to a folder that can be written to and has room";
        try
        {
            var entries = new StoreInventory(cacheFolder).Entries();
            using (ScratchFolder.In(Path.Combine(cacheFolder, "tmp")))
            {
                long free = new DriveInfo(Path.GetFullPath(cacheFolder)).AvailableFreeSpace;
                string text = $"{cacheFolder}: {Commands.CacheInfoCommand.Counted(entries.Count)}, {Figures.Bytes(entries.DistinctBy(entry => entry.Digest).Sum(entry => entry.Bytes))}, {Figures.Bytes(free)} free";
                return free >= LittleSpace ? new(Name, CheckState.Ok, text)
                    : free >= NoSpace ? new(Name, CheckState.Warning, text, $"make room, with '{CommandLine.Name} cache clear --older-than 30d' for example")
                    : new(Name, CheckState.Bad, text, Cure, DiagnosticIds.FileFailed);
            }
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return new(Name, CheckState.Bad, $"{cacheFolder} cannot be used: {failure.Message.TrimEnd('.')}", Cure, DiagnosticIds.FileFailed);
        }
    }
}
