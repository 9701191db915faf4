using System.Diagnostics;
using Microsoft.CodeAnalysis.CSharp;
using PipelineDsl.Generators.Tests;

using Sources = PipelineDsl.Generators.Tests.Models;

namespace PipelineDsl.Benchmarks;

/// <summary>What the generator adds to an edit that concerns no recipe, and to one that does, in a project of a hundred recipes.</summary>
internal static class GeneratorBenchmark
{
    private const int Recipes = 100;
    private const int Edits = 200;

    /// <summary>Edits before anything is measured: until the runtime has compiled the compiler for good, which the one of an SDK is from the start.</summary>
    private const int Warming = 4000;

    public static void Run(string[] args)
    {
        var project = new GeneratorRun(LanguageVersion.Preview, track: false).Source("StoryLlama.cs", Sources.Llama);
        for (int i = 0; i < Recipes; i++)
        {
            project.Recipe($"r{i}.recipe.yaml", Sources.Tiny.Replace("tiny", $"r{i}"));
        }

        for (int i = 0; i < Warming; i++)
        {
            EditElsewhere(i);
            project.Drive();
        }

        var table = new ResultTable("generator", "edit", "recipes", "median ms", "p90 ms", "driver ms");
        Measure(table, project, "unrelated", EditElsewhere);
        Measure(table, project, "model's body", i => project.Source("StoryLlama.cs", Sources.Llama.Replace("layers[0].call", $"layers[{i} % 2].call")));
        Measure(table, project, "one recipe", i => project.Recipe("r7.recipe.yaml", Sources.Tiny.Replace("tiny", "r7").Replace("rank: 8", $"rank: {1 + (i % 30)}")));
        table.Write();

        void EditElsewhere(int i) => project.Source("Elsewhere.cs", $"class Elsewhere {{ int Value() => {i}; }}");
    }

    private static void Measure(ResultTable table, GeneratorRun project, string name, Action<int> edit)
    {
        var times = new List<double>();
        var driven = new List<double>();
        for (int i = -Edits; i < Edits; i++)
        {
            edit(i + Edits);
            project.Settle();
            var watch = Stopwatch.StartNew();
            project.Drive();
            if (i >= 0)
            {
                driven.Add(watch.Elapsed.TotalMilliseconds);
                times.Add(project.Time.TotalMilliseconds);
            }
        }

        table.Add(name, Recipes, NoopBenchmark.Median(times), times.Order().ElementAt(Edits * 9 / 10), NoopBenchmark.Median(driven));
    }
}
