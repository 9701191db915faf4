using System.Runtime.InteropServices;

namespace PipelineDsl.Tasks.Tests;

/// <summary>These change the process's environment, which the shim is found through, and so run one after the other.</summary>
[Collection("environment")]
public sealed class LibStdCppShimTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("pdsl shim ").FullName;
    private readonly string? cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
    private readonly string? libraries = Environment.GetEnvironmentVariable(LibStdCppShim.Variable);
    private readonly string? path = Environment.GetEnvironmentVariable("PATH");

    public LibStdCppShimTests()
    {
        Environment.SetEnvironmentVariable("XDG_CACHE_HOME", folder);
        Environment.SetEnvironmentVariable(LibStdCppShim.Variable, null);
    }

    public void Dispose()
    {
        Environment.SetEnvironmentVariable("XDG_CACHE_HOME", cache);
        Environment.SetEnvironmentVariable(LibStdCppShim.Variable, libraries);
        Environment.SetEnvironmentVariable("PATH", path);
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void Concurrent_builds_get_one_shim_that_has_what_the_tensor_library_asks_for()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "only Linux has a libstdc++ of the system's");
        string?[] found = new string?[4];
        Parallel.For(0, found.Length, index => found[index] = LibStdCppShim.LibraryPath());

        found.ShouldAllBe(item => item == found[0]);
        Assert.SkipWhen(found[0] is null, "this system needs no shim");
        string expected = found[0]!;
        Directory.GetDirectories(Path.Combine(folder, "pipelinedsl")).ShouldBe([expected]);
        IntPtr library = NativeLibrary.Load(Path.Combine(expected, "libstdc++.so.6"));
        NativeLibrary.TryGetExport(library, "_ZSt21ios_base_library_initv", out _).ShouldBeTrue();
    }

    [Fact]
    public void A_process_that_has_the_shim_needs_no_other()
    {
        Environment.SetEnvironmentVariable(LibStdCppShim.Variable, NeededShim());
        LibStdCppShim.LibraryPath().ShouldBeNull();
    }

    [Fact]
    public void The_inherited_library_path_stays_behind_the_shim()
    {
        string shim = NeededShim();
        Environment.SetEnvironmentVariable(LibStdCppShim.Variable, "/nowhere");
        LibStdCppShim.LibraryPath().ShouldBe($"{shim}:/nowhere");
    }

    [Fact]
    public void Without_a_compiler_the_failure_says_what_is_missing_and_what_to_do()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && LibStdCppShim.LibraryPath() is not null, "this system needs no shim");
        Directory.Delete(Path.Combine(folder, "pipelinedsl"), recursive: true);
        Environment.SetEnvironmentVariable("PATH", folder);

        LibStdCppShimException failure = Should.Throw<LibStdCppShimException>(() => LibStdCppShim.LibraryPath());
        failure.Message.ShouldContain("is not installed");
        failure.Message.ShouldContain("Ubuntu 24.04");
        Directory.GetDirectories(Path.Combine(folder, "pipelinedsl")).ShouldBeEmpty();
    }

    private static string NeededShim()
    {
        string? shim = OperatingSystem.IsLinux() ? LibStdCppShim.LibraryPath() : null;
        Assert.SkipWhen(shim is null, "this system needs no shim");
        return shim!;
    }
}
