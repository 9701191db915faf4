using System.Diagnostics;
using PipelineDsl.Tasks;

namespace PipelineDsl.Build.Tests;

/// <summary>What a run leaves that did not come to its end.</summary>
public sealed class KilledRunTests(Product product) : IDisposable
{
    private const int Kills = 5;

    private readonly Project project = new(product);

    public void Dispose() => project.Dispose();

    private string Cache => project.InFolder("../cache");

    private string Models => project.InFolder("obj/Debug/net10.0/pipeline/models");

    [Fact]
    public void Killed_runs_leave_nothing_behind_and_the_next_gives_the_same_bytes()
    {
        project.WriteRecipe("small", bits: 4);
        project.Build();
        var host = Host();
        host.Run().ExitCode.ShouldBe(0);
        var expected = HostProcess.Files(Models, Cache, project.Folder);
        var watch = Stopwatch.StartNew();
        Reset();
        host.Run().ExitCode.ShouldBe(0);
        double seconds = watch.Elapsed.TotalSeconds;

        var random = new Random(7);
        for (int kill = 0; kill < Kills; kill++)
        {
            Reset();
            host.RunAndKill(TimeSpan.FromSeconds(seconds * (0.3 + (0.7 * random.NextDouble()))));
            var (exit, said) = host.Run();
            exit.ShouldBe(0, said);
            var files = HostProcess.Files(Models, Cache, project.Folder);
            Lasting(files.Keys).ShouldBe(Lasting(expected.Keys));
            Artifacts(files).ShouldBe(Artifacts(expected));
        }
    }

    [Fact]
    public void A_full_disk_is_an_error_with_a_code_and_leaves_the_previous_artifact()
    {
        project.Build();
        string output = project.InFolder("../disk");
        using var disk = SmallDisk.Of(kilobytes: 4000, output);
        Host(output).Run().ExitCode.ShouldBe(0);
        var before = HostProcess.Files(output);
        before.ShouldNotBeEmpty();

        string ballast = Path.Combine(output, "ballast");
        Fill(ballast);
        project.WriteWeights(seed: 2);
        var (exit, said) = Host(output).Run();
        exit.ShouldBe(1, said);
        said.ShouldContain("error PDSL3012");
        File.Delete(ballast);
        HostProcess.Files(output).ShouldBe(before);

        Host(output).Run().ExitCode.ShouldBe(0);
        HostProcess.Files(output).ShouldNotBe(before);
    }

    [Fact]
    public void A_full_cache_is_an_error_that_names_it_and_leaves_the_previous_artifact()
    {
        project.Build();
        var before = HostProcess.Files(Models);
        project.WriteWeights(seed: 2);
        string cache = project.InFolder("../disk");
        using var disk = SmallDisk.Of(kilobytes: 64, cache);
        Fill(Path.Combine(cache, "ballast"));
        var (exit, said) = new HostProcess(project.Folder, "Debug", "App", project.Version) { Cache = cache, Libraries = LibStdCppShim.LibraryPath() }.Run();
        exit.ShouldBe(1, said);
        said.ShouldContain("error PDSL3012: cannot write to the cache");
        HostProcess.Files(Models).ShouldBe(before);
    }

    [Fact]
    public void An_output_folder_that_can_only_be_read_is_an_error_with_a_code_and_leaves_the_previous_artifact()
    {
        project.Build();
        var before = HostProcess.Files(Models);
        project.WriteWeights(seed: 2);
        using (SmallDisk.ReadOnly(Models))
        {
            var (exit, said) = Host().Run();
            exit.ShouldBe(1, said);
            said.ShouldContain("error PDSL3012");
        }

        HostProcess.Files(Models).ShouldBe(before);
        Host().Run().ExitCode.ShouldBe(0);
        HostProcess.Files(Models).ShouldNotBe(before);
    }

    private HostProcess Host(string? output = null) =>
        new(project.Folder, "Debug", "App", project.Version) { Cache = Cache, Output = output ?? Models, Libraries = LibStdCppShim.LibraryPath() };

    /// <summary>What a first run finds.</summary>
    private void Reset()
    {
        foreach (string folder in new[] { Models, Cache }.Where(Directory.Exists))
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Everything but the claims on what was computed, of which a run takes those that it needs.</summary>
    private static IEnumerable<string> Lasting(IEnumerable<string> files) => files.Where(file => !file.StartsWith("cache/claims/", StringComparison.Ordinal));

    private static Dictionary<string, string> Artifacts(SortedDictionary<string, string> files) =>
        files.Where(file => file.Key.StartsWith("models/", StringComparison.Ordinal) && !file.Key.Contains("report")).ToDictionary();

    private static void Fill(string file)
    {
        try
        {
            using var stream = new FileStream(file, FileMode.Create, FileAccess.Write, FileShare.None, 0);
            byte[] block = new byte[4096];
            while (true)
            {
                stream.Write(block);
            }
        }
        catch (IOException)
        {
            // Full, as it should be.
        }
    }
}
