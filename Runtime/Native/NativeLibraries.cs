using System.Reflection;
using System.Runtime.InteropServices;
using PipelineDsl.Diagnostics;
using TorchSharp;

namespace PipelineDsl.Runtime.Native;

/// <summary>Loads libtorch from where it lies (the application's folder or the package folder), so that no build output needs a copy of it.</summary>
public static class NativeLibraries
{
    /// <summary>A folder that holds libtorch, in place of all that are searched.</summary>
    public const string FolderVariable = "PIPELINEDSL_LIBTORCH";

    private static readonly Lock Gate = new();
    private static bool loaded;

    /// <summary>Loads the tensor library once; call it before the first use of TorchSharp.</summary>
    /// <exception cref="PipelineException">PDSL3001: it is not there or cannot be loaded; the message says where was looked and what to do.</exception>
    public static void Load()
    {
        lock (Gate)
        {
            if (loaded)
            {
                return;
            }

            string folder = LibTorchFolder();
            IntPtr bridge = IntPtr.Zero;
            foreach (string name in LibraryNames())
            {
                LoadFrom(Path.Combine(folder, name));
            }

            bridge = LoadFrom(BridgePath(folder));
            NativeLibrary.SetDllImportResolver(typeof(torch).Assembly, (name, _, _) => name == "LibTorchSharp" ? bridge : IntPtr.Zero);
            torch.InitializeDeviceType(DeviceType.CPU);
            loaded = true;
        }
    }

    private static IntPtr LoadFrom(string path)
    {
        try
        {
            return NativeLibrary.Load(path);
        }
        catch (DllNotFoundException failure)
        {
            string cure = failure.Message.Contains("GLIBCXX", StringComparison.Ordinal)
                ? "this system's libstdc++ is older than GLIBCXX_3.4.32; run the program through 'dotnet build' or 'dotnet run build/sample.cs', which bridge the gap, or use Ubuntu 24.04, Debian 13 or newer"
                : "check that the file is complete and fits this system";
            throw new PipelineException(DiagnosticIds.NativeLibraryNotLoaded, $"cannot load '{path}': {failure.Message.Trim()}; {cure}", path, failure);
        }
    }

    /// <summary>libtorch's parts in the order they depend on each other.</summary>
    private static string[] LibraryNames() =>
        OperatingSystem.IsWindows() ? ["c10.dll", "torch_cpu.dll", "torch.dll"]
        : OperatingSystem.IsMacOS() ? ["libc10.dylib", "libtorch_cpu.dylib", "libtorch.dylib"]
        : ["libc10.so", "libtorch_cpu.so", "libtorch.so"];

    private static string Rid => OperatingSystem.IsWindows() ? "win-x64" : OperatingSystem.IsMacOS() ? "osx-arm64" : "linux-x64";

    /// <summary>Where libtorch would be loaded from, and why there; null when it is nowhere. Loads nothing.</summary>
    /// <param name="chosen">The folder that the user names in <see cref="FolderVariable"/>, or null for none.</param>
    /// <exception cref="PipelineException">PDSL3001: the folder that the user names does not hold it. Another one in its place would be what nobody asked for.</exception>
    internal static (string Folder, string Origin)? Find(string? chosen)
    {
        if (string.IsNullOrEmpty(chosen))
        {
            return SearchedFolders().Where(candidate => Holds(candidate.Folder)).Select(candidate => ((string, string)?)candidate).FirstOrDefault();
        }

        return Holds(chosen) ? (chosen, FolderVariable) : throw new PipelineException(
            DiagnosticIds.NativeLibraryNotLoaded,
            $"{FolderVariable} names '{chosen}', {(Directory.Exists(chosen) ? $"which holds no '{LibraryNames()[1]}'" : "which is no folder")}; let it name the folder with the libraries of libtorch {Version}, or unset it{(Find(null) is { } found ? $" to use '{found.Folder}'" : "")}",
            chosen);
    }

    /// <summary>The folder that the user names.</summary>
    internal static string? ChosenFolder => Environment.GetEnvironmentVariable(FolderVariable);

    private static bool Holds(string folder) => File.Exists(Path.Combine(folder, LibraryNames()[1]));

    /// <summary>The version of libtorch that TorchSharp is built with.</summary>
    internal static string Version { get; } = typeof(NativeLibraries).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(item => item.Key == "LibTorchVersion").Value!;

    /// <summary>The folders that NuGet keeps packages in, as far as they are known.</summary>
    internal static IEnumerable<string> PackageFolders => List("PROBING_DIRECTORIES").Append(Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? "")
        .Append(Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages")).Where(path => path.Length > 0);

    private static string LibTorchFolder() => Find(ChosenFolder)?.Folder ?? throw new PipelineException(
        DiagnosticIds.NativeLibraryNotLoaded,
        $"libtorch is not there; add <PackageReference Include=\"libtorch-cpu-{Rid}\" Version=\"{Version}\" /> to the project, or set {FolderVariable} to a folder that holds it (searched: {string.Join(", ", SearchedFolders().Select(candidate => candidate.Folder))})",
        AppContext.BaseDirectory);

    private static IEnumerable<(string Folder, string Origin)> SearchedFolders()
    {
        yield return (AppContext.BaseDirectory, "the application's folder");
        yield return (Path.Combine(AppContext.BaseDirectory, "runtimes", Rid, "native"), "the application's folder");
        foreach (string folder in List("NATIVE_DLL_SEARCH_DIRECTORIES"))
        {
            yield return (folder, "the native search path");
        }

        foreach (string packages in PackageFolders)
        {
            yield return (Path.Combine(packages, $"libtorch-cpu-{Rid}", Version, "runtimes", Rid, "native"), "the package folder");
        }
    }

    private static string BridgePath(string libTorchFolder)
    {
        string name = OperatingSystem.IsWindows() ? "LibTorchSharp.dll" : OperatingSystem.IsMacOS() ? "libLibTorchSharp.dylib" : "libLibTorchSharp.so";
        string version = typeof(torch).Assembly.GetName().Version!.ToString(3);
        string[] folders =
        [
            AppContext.BaseDirectory,
            Path.Combine(AppContext.BaseDirectory, "runtimes", Rid, "native"),
            .. List("NATIVE_DLL_SEARCH_DIRECTORIES"),
            Path.Combine(Path.GetDirectoryName(typeof(torch).Assembly.Location) ?? "", "..", "..", "runtimes", Rid, "native"),
            .. List("PROBING_DIRECTORIES").Select(packages => Path.Combine(packages, "torchsharp", version, "runtimes", Rid, "native")),
            libTorchFolder,
        ];
        return folders.Select(folder => Path.GetFullPath(Path.Combine(folder, name))).FirstOrDefault(File.Exists)
            ?? throw new PipelineException(DiagnosticIds.NativeLibraryNotLoaded, $"'{name}' of TorchSharp {version} is not there; restore the project again (searched: {string.Join(", ", folders)})", AppContext.BaseDirectory);
    }

    private static string[] List(string property) =>
        (AppContext.GetData(property) as string ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
}
