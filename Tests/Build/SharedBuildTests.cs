namespace PipelineDsl.Build.Tests;

/// <summary>Builds that meet each other.</summary>
public sealed class SharedBuildTests(Product product) : IDisposable
{
    private readonly Project project = new(product);

    public void Dispose() => project.Dispose();

    [Fact]
    public async Task Eight_builds_of_a_project_at_once_succeed_and_solve_each_layer_once()
    {
        // What the compiler and the copies would quarrel about is done before.
        project.Build();
        File.Delete(project.InFolder("obj/Debug/net10.0/pipeline/pipeline.stamp"));
        File.Delete(project.InFolder("obj/Debug/net10.0/pipeline/journal.log"));
        Directory.Delete(project.InFolder("../cache"), recursive: true);

        var builds = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => project.DotNet("build", "--no-restore"))));

        builds.ShouldAllBe(build => build.ExitCode == 0, string.Join("\n", builds.Select(build => build.Output)));
        Layers(project).ShouldBe(["layer tiny fc1", "layer tiny fc2"]);
        project.Files("obj/Debug/net10.0/pipeline").ShouldNotContain(file => file.Contains("request.") || file.Contains(".tmp") || file.Contains(".new"));
    }

    [Fact]
    public async Task Two_checkouts_that_share_a_cache_succeed_at_once_and_solve_each_layer_once_between_them()
    {
        using var other = new Project(product, "Elsewhere");
        project.Build("-p:PipelineDslEnabled=false");
        other.Build("-p:PipelineDslEnabled=false");
        string cache = $"-p:PipelineDslCacheDirectory={project.InFolder("../shared")}";

        var builds = await Task.WhenAll(new[] { project, other }.Select(checkout => Task.Run(() => checkout.DotNet("build", "--no-restore", cache))));

        builds.ShouldAllBe(build => build.ExitCode == 0, string.Join("\n", builds.Select(build => build.Output)));
        Layers(project).Concat(Layers(other)).Order().ShouldBe(["layer tiny fc1", "layer tiny fc2"]);
        foreach (string file in new[] { "tiny/model.safetensors", "tiny/manifest.json" })
        {
            const string models = "bin/Debug/net10.0/models";
            File.ReadAllBytes(other.InFolder($"{models}/{file}")).ShouldBe(File.ReadAllBytes(project.InFolder($"{models}/{file}")), file);
        }
    }

    private static IEnumerable<string> Layers(Project project) => project.Journal.Where(entry => entry.StartsWith("layer ", StringComparison.Ordinal)).Order(StringComparer.Ordinal);
}
