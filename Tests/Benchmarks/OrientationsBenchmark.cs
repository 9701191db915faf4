using PipelineDsl.Runtime.Tests.Stories;

namespace PipelineDsl.Benchmarks;

/// <summary>Perplexity of the five orientations at half the parameters of all blocks.</summary>
internal static class OrientationsBenchmark
{
    private const double KeepRatio = 0.5;

    public static void Run(string[] arguments)
    {
        var table = new ResultTable("orientations", "model", "orientation", "ppl before", "ppl after", "ratio");
        Measure(table, "stories260k", StoryModel.Stories260K(Path.Combine(AppContext.BaseDirectory, "Stories")));
        if (DataFolder.Find() is { } folder)
        {
            Measure(table, "gsmbard-4m", StoryModel.GsmBard(folder));
        }

        table.Write();
    }

    private static void Measure(ResultTable table, string name, StoryModel model)
    {
        foreach (var orientation in Enum.GetValues<Orientation>())
        {
            var quality = model.Compress(new Decompose { KeepRatio = KeepRatio, Orientation = orientation }).Quality!;
            table.Add(name, orientation.ToString(), quality.Before, quality.After, quality.After / quality.Before);
        }
    }
}
