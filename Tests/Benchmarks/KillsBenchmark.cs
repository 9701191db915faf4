using System.Diagnostics;
using System.Globalization;
using PipelineDsl.Build.Tests;

namespace PipelineDsl.Benchmarks;

/// <summary>Kills the host at random moments of a run of the sample, each time followed by a run to the end: the artifacts must be those of an undisturbed run, and nothing else may be left.</summary>
internal static class KillsBenchmark
{
    private const int Kills = 100;

    public static void Run(string[] args)
    {
        int kills = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : Kills;
        using var project = new SampleProject(SampleProject.Pack());
        project.Build();
        string models = project.In("obj/Release/net10.0/pipeline/models");
        var host = new HostProcess(project.Folder, "Release", "Stories", project.Version) { Cache = project.Cache, Libraries = Environment.GetEnvironmentVariable("LD_LIBRARY_PATH") };
        double seconds = Fresh();
        var expected = Artifacts();
        string[] files = Places();

        var random = new Random(20_26);
        double until = seconds;
        int runs = 0, killed = 0, different = 0, left = 0, failed = 0;
        for (; killed < kills; runs++)
        {
            // Every fourth run finds its layers in the cache and is killed later on its way.
            Reset(keepCache: runs % 4 == 0);
            if (host.RunAndKill(TimeSpan.FromSeconds(until * random.NextDouble())))
            {
                killed++;
            }
            else
            {
                // The machine has become faster, or the cache has shortened the run.
                until *= 0.95;
            }

            var (exit, said) = host.Run();
            if (exit != 0)
            {
                failed++;
                Console.Error.WriteLine(said);
            }

            different += Artifacts().SequenceEqual(expected) ? 0 : 1;
            string[] more = [.. Places().Except(files)];
            left += more.Length > 0 ? 1 : 0;
            Array.ForEach(more, Console.Error.WriteLine);
        }

        var table = new ResultTable("kills", "runs", "killed", "failed", "different", "left over", "run s");
        table.Add(runs, killed, failed, different, left, seconds);
        table.Write();
        if (failed + different + left > 0)
        {
            throw new FormatException("a killed run was not made good by the next");
        }

        double Fresh()
        {
            Reset(keepCache: false);
            var watch = Stopwatch.StartNew();
            var (exit, said) = host.Run();
            return exit == 0 ? watch.Elapsed.TotalSeconds : throw new InvalidOperationException(said);
        }

        void Reset(bool keepCache)
        {
            foreach (string folder in (string[])(keepCache ? [models] : [models, project.Cache]))
            {
                if (Directory.Exists(folder))
                {
                    Directory.Delete(folder, recursive: true);
                }
            }
        }

        List<KeyValuePair<string, string>> Artifacts() => [.. HostProcess.Files(models).Where(file => !file.Key.Contains("/report.", StringComparison.Ordinal))];

        string[] Places() => [.. HostProcess.Files(project.Folder, project.Cache).Keys.Where(file => !file.StartsWith("cache/claims/", StringComparison.Ordinal))];
    }
}
