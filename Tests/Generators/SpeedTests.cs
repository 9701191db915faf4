using System.Diagnostics;

namespace PipelineDsl.Generators.Tests;

public sealed class SpeedTests
{
    [Fact]
    public void A_hundred_recipes_keep_up_with_typing()
    {
        var run = new GeneratorRun().Source("StoryLlama.cs", Models.Llama);
        for (int i = 0; i < 100; i++)
        {
            run.Recipe($"r{i}.recipe.yaml", Models.Tiny.Replace("tiny", $"r{i}"));
        }

        run.Run().Files.Count.ShouldBe(101);

        // The target is 50 ms on an idle machine; the bound is loose because tests share theirs.
        var clock = Stopwatch.StartNew();
        run.Recipe("r7.recipe.yaml", Models.Tiny.Replace("tiny", "r7").Replace("rank: 8", "rank: 9")).Run();
        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(2));
    }
}
