namespace PipelineDsl.Benchmarks;

/// <summary>What a build that has nothing to do costs: the sample with its recipes against the same project without the pipeline, in turns.</summary>
internal static class NoopBenchmark
{
    private const int Turns = 10;

    public static void Run(string[] args)
    {
        string version = SampleProject.Pack();
        using var with = new SampleProject(version);
        using var without = new SampleProject(version);
        string[] off = ["-p:PipelineDslEnabled=false"];
        string[] on = ["-p:PipelineDslEnabled=true"];
        with.Build(on);
        without.Build(off);
        with.Build(on);
        without.Build(off);

        var seconds = (On: new List<double>(), Off: new List<double>());
        for (int turn = 0; turn < Turns; turn++)
        {
            seconds.Off.Add(without.Build(off));
            seconds.On.Add(with.Build(on));
        }

        double enabled = Median(seconds.On);
        double disabled = Median(seconds.Off);
        var table = new ResultTable("noop", "turns", "enabled s", "disabled s", "costs s");
        table.Add(Turns, enabled, disabled, enabled - disabled);
        table.Write();
    }

    /// <summary>The middle value, or the mean of the two in the middle.</summary>
    internal static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}
