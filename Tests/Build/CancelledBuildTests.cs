using System.Diagnostics;
using System.Globalization;

namespace PipelineDsl.Build.Tests;

/// <summary>Builds that are ended while their host works.</summary>
public sealed class CancelledBuildTests(Product product) : IDisposable
{
    private const string Artifact = "bin/Debug/net10.0/models/tiny/model.safetensors";
    private const string Pipeline = "obj/Debug/net10.0/pipeline";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    private readonly Project project = new(product);

    private string HostFile => project.InFolder("host.txt");

    public void Dispose() => project.Dispose();

    /// <summary>Ctrl-C reaches the build, which stops its host; of a build that dies the host learns by itself.</summary>
    [Fact]
    public void Its_host_ends_with_it_the_previous_artifact_stays_and_the_next_build_succeeds()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "signals are sent with the tools of Linux");
        project.Build();
        byte[] before = File.ReadAllBytes(project.InFolder(Artifact));
        WriteSlowRecipe();
        foreach (string signal in new[] { "INT", "KILL" })
        {
            File.WriteAllText(project.InFolder("slow"), "");
            File.Delete(HostFile);
            string said = BuildAndSend(signal);
            WaitFor(() => !IsRunning(int.Parse(File.ReadAllText(HostFile), CultureInfo.InvariantCulture)), "the host outlives its build");
            said.ShouldNotContain("error PDSL");
            File.ReadAllBytes(project.InFolder(Artifact)).ShouldBe(before);
            project.Files(Pipeline).ShouldNotContain(file => file.Contains(".tmp") || file.Contains(".new"));
        }

        File.Delete(project.InFolder("slow"));
        project.Build("--no-restore");
        File.ReadAllBytes(project.InFolder(Artifact)).ShouldNotBe(before);
    }

    /// <summary>A recipe whose calibration goes on for minutes as long as a file is there, and tells the process that it runs in.</summary>
    private void WriteSlowRecipe()
    {
        project.WriteData();
        project.Write("tiny.recipe.yaml", """
            recipe: tiny
            model: Demo.Mlp
            weights: weights/mlp.safetensors
            calibrate: { data: data/data.safetensors }
            steps:
              - match: fc2
                decompose: { rank: 2, orientation: context }

            """);
        project.Write("TinyPipeline.cs", """
            using PipelineDsl.Runtime.Data;
            using TorchSharp;

            namespace Demo;

            partial class TinyPipeline
            {
                public override IEnumerable<Batch> CalibrationBatches(DataSource data) => Enumerable.Range(0, 10_000).TakeWhile(round => round == 0 || File.Exists("slow")).SelectMany(_ => base.CalibrationBatches(data));

                public override torch.Tensor Run(Mlp model, Batch batch)
                {
                    if (File.Exists("slow"))
                    {
                        File.WriteAllText("host.new", $"{Environment.ProcessId}");
                        File.Move("host.new", "host.txt", overwrite: true);
                        Thread.Sleep(20);
                    }

                    return base.Run(model, batch);
                }
            }
            """);
    }

    private string BuildAndSend(string signal)
    {
        // Who runs the tests in the background may have let them ignore Ctrl-C.
        string[] arguments = ["--default-signal=INT", "dotnet", "build", "--no-restore", "-nodeReuse:false", "-p:UseSharedCompilation=false", "-tl:off"];
        var start = new ProcessStartInfo("env", arguments) { WorkingDirectory = project.Folder, RedirectStandardOutput = true, RedirectStandardError = true, Environment = { ["LD_LIBRARY_PATH"] = null } };
        using var build = Process.Start(start)!;
        var output = build.StandardOutput.ReadToEndAsync();
        var errors = build.StandardError.ReadToEndAsync();
        WaitFor(() => File.Exists(HostFile) || build.HasExited, "the host does not start");
        build.HasExited.ShouldBeFalse(build.HasExited ? output.Result + errors.Result : "");
        using (var kill = Process.Start("kill", [$"-{signal}", build.Id.ToString(CultureInfo.InvariantCulture)]))
        {
            kill.WaitForExit();
        }

        build.WaitForExit(Patience).ShouldBeTrue("the build does not end");
        build.ExitCode.ShouldNotBe(0);
        return output.Result + errors.Result;
    }

    private static void WaitFor(Func<bool> condition, string otherwise)
    {
        var watch = Stopwatch.StartNew();
        while (!condition())
        {
            watch.Elapsed.ShouldBeLessThan(Patience, otherwise);
            Thread.Sleep(50);
        }
    }

    /// <summary>Whether a process is there and did not end, be it that nobody asked for its end yet.</summary>
    private static bool IsRunning(int process)
    {
        try
        {
            return !File.ReadAllText($"/proc/{process}/stat").Contains(") Z ", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }
}
