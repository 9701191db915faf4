using PipelineDsl.Runtime.Tests.Engine;

namespace PipelineDsl.Build.Tests;

/// <summary>Builds of several machines that share results through a server.</summary>
public sealed class CacheServerTests(Product product) : IDisposable
{
    private readonly Project machine = new(product);
    private readonly Project other = new(product);

    public void Dispose()
    {
        machine.Dispose();
        other.Dispose();
    }

    [Fact]
    public void One_machine_fills_it_another_only_reads_and_without_it_the_build_goes_on()
    {
        using var server = new CacheServerStub();
        string address = $"-p:PipelineDslCacheUrl={server.Address}";
        machine.Build(address);
        Solved(machine).ShouldBe(["layer tiny fc1", "layer tiny fc2"]);
        string[] stored = [.. server.Files.Keys.Order(StringComparer.Ordinal)];
        stored.ShouldContain(path => path.StartsWith("ac/", StringComparison.Ordinal));
        stored.ShouldContain(path => path.StartsWith("cas/", StringComparison.Ordinal));

        other.WriteRecipe("small", bits: 3);
        string[] reading = [address, "-p:PipelineDslCacheReadOnly=true"];
        other.Build(reading).ShouldNotContain("PDSL3020");
        Solved(other).ShouldBe(["layer small fc1", "layer small fc2"]);
        server.Files.Keys.Order(StringComparer.Ordinal).ShouldBe(stored);
        const string artifact = "bin/Debug/net10.0/models/tiny/model.safetensors";
        File.ReadAllBytes(other.InFolder(artifact)).ShouldBe(File.ReadAllBytes(machine.InFolder(artifact)));

        server.Dispose();
        other.WriteRecipe("small", bits: 4);
        other.Build(["--no-restore", .. reading]).ShouldContain($"{other.InFolder("App.csproj")}(1,1,1,1): warning PDSL3020: the cache server '{server.Address}' ");
        Solved(other).Length.ShouldBe(4);
    }

    private static string[] Solved(Project project) => [.. project.Journal.Where(entry => entry.StartsWith("layer ", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];
}
