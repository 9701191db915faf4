using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace PipelineDsl.Tasks;

/// <summary>Bridges the gap between the tensor library and the C++ library of older Linux systems.</summary>
/// <remarks>
/// TorchSharp's native part is built with GCC 13 and asks for GLIBCXX_3.4.32, in which exactly one symbol is new:
/// <c>_ZSt21ios_base_library_initv</c>, the start of the standard streams. On a system whose libstdc++ lacks it, a small
/// library of the same name that defines it and leans on the system's own for everything else is made once, with the
/// system's compiler, in the user's cache folder. Its folder goes first in a child's library path, never in the build's own.
/// </remarks>
public static class LibStdCppShim
{
    /// <summary>The environment variable that <see cref="LibraryPath"/> is the value for.</summary>
    public const string Variable = "LD_LIBRARY_PATH";

    private const string LibraryName = "libstdc++.so.6";
    private const string RealName = "libstdc++real.so.6";
    private const string NeededNode = "GLIBCXX_3.4.32";

    private const string Source = """
        extern void _ZNSt8ios_base4InitC1Ev(void *);
        static char init;
        static int done;
        void _ZSt21ios_base_library_initv(void) { if (!done) { done = 1; _ZNSt8ios_base4InitC1Ev(&init); } }

        """;

    private static readonly string[] KnownFolders =
        ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];

    /// <summary>The library path a child process needs to load the tensor library; null when it can be left as it is.</summary>
    /// <exception cref="LibStdCppShimException">The shim is needed and there is no compiler.</exception>
    public static string? LibraryPath()
    {
        if (Find() is not { ShimFolder: { } folder } system)
        {
            return null;
        }

        if (!File.Exists(Path.Combine(folder, LibraryName)))
        {
            Make(system.Library, folder);
        }

        string inherited = Environment.GetEnvironmentVariable(Variable) ?? "";
        return inherited.Length > 0 ? $"{folder}:{inherited}" : folder;
    }

    /// <summary>The C++ library that a child process would load, and what it lacks; null where there is none of the system's. Makes nothing.</summary>
    public static LibStdCpp? Find()
    {
        if (!RuntimeInformation.IsOSPlatform(OSPlatform.Linux) || SystemLibrary(Environment.GetEnvironmentVariable(Variable) ?? "") is not { } library)
        {
            return null;
        }

        byte[] content = File.ReadAllBytes(library);
        string text = Encoding.ASCII.GetString(content);
        Version newest = Regex.Matches(text, @"GLIBCXX_(\d+\.\d+(?:\.\d+)?)").Cast<Match>().Select(match => new Version(match.Groups[1].Value)).DefaultIfEmpty(new Version(0, 0)).Max()!;
        return new(library, newest, text.Contains(NeededNode) ? null : Folder(library, content));
    }

    /// <summary>The libstdc++ that a child would load.</summary>
    private static string? SystemLibrary(string libraryPath)
    {
        IEnumerable<string> folders = libraryPath.Split([':'], StringSplitOptions.RemoveEmptyEntries).Concat(KnownFolders);
        return folders.Select(folder => Path.Combine(folder, LibraryName)).FirstOrDefault(File.Exists);
    }

    /// <summary>The name carries what the shim depends on: a system update gets a new one.</summary>
    private static string Folder(string library, byte[] content)
    {
        string root = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } chosen
            ? chosen
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        using var sha = SHA256.Create();
        byte[] identity = [.. sha.ComputeHash(content), .. Encoding.UTF8.GetBytes(library + Source)];
        string hash = string.Concat(sha.ComputeHash(identity).Take(8).Select(value => value.ToString("x2", null)));
        return Path.Combine(root, "pipelinedsl", $"libstdc++-{hash}");
    }

    /// <summary>Makes the shim beside its place and renames it, so that concurrent builds see it whole or not at all.</summary>
    private static void Make(string library, string folder)
    {
        string draft = $"{folder}.{Guid.NewGuid():N}";
        Directory.CreateDirectory(draft);
        try
        {
            File.WriteAllText(Path.Combine(draft, "shim.c"), Source);
            File.WriteAllText(Path.Combine(draft, "stub.c"), "");
            File.WriteAllText(Path.Combine(draft, "map"), VersionScript(Run(library, draft, "readelf", $"-V -W \"{library}\"")));
            Run(library, draft, "gcc", $"-shared -fPIC -o libreal.so stub.c -nostdlib -Wl,-soname,{RealName}");
            Run(library, draft, "gcc", $"-shared -fPIC -O1 -o {LibraryName} shim.c -nostdlib -Wl,-soname,{LibraryName} -Wl,--version-script=map -Wl,--no-as-needed ./libreal.so -Wl,--allow-shlib-undefined -Wl,-rpath,$ORIGIN");
            Run(library, draft, "ln", $"-s \"{library}\" {RealName}");
            Directory.Move(draft, folder);
        }
        catch (IOException) when (File.Exists(Path.Combine(folder, LibraryName)))
        {
            // Another build was first; its shim is the same.
        }
        finally
        {
            if (Directory.Exists(draft))
            {
                Directory.Delete(draft, recursive: true);
            }
        }
    }

    /// <summary>Every version of the real library, so that what asks for one is content, and the missing ones.</summary>
    private static string VersionScript(string versions)
    {
        // 'readelf -V' lists the versions that the library defines and then those that it needs from others.
        string defined = Regex.Match(versions, @"Version definition section.*?(?=Version needs section|\z)", RegexOptions.Singleline).Value;
        IEnumerable<string> nodes = Regex.Matches(defined, @"Name: ((?:GLIBCXX|CXXABI)_\S+)").Cast<Match>().Select(match => match.Groups[1].Value);
        return string.Concat(nodes.Append("GLIBCXX_3.4.31").Distinct().Select(node => $"{node} {{ }};\n"))
            + $"{NeededNode} {{ global: _ZSt21ios_base_library_initv; local: *; }};\n";
    }

    private static string Run(string library, string folder, string program, string arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        try
        {
            using var process = Process.Start(start)!;
            System.Threading.Tasks.Task<string> errors = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? output : throw Failure(library, $"'{program} {arguments}' failed: {errors.Result.Trim()}");
        }
        catch (System.ComponentModel.Win32Exception)
        {
            throw Failure(library, $"'{program}' is not installed");
        }
    }

    private static LibStdCppShimException Failure(string library, string reason) => new(
        $"the tensor library needs {NeededNode}, which '{library}' lacks, and the bridge over the gap cannot be made because {reason}; "
        + "install gcc and binutils ('apt-get install gcc', 'dnf install gcc'), or build on Ubuntu 24.04, Debian 13 or newer");
}
