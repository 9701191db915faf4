namespace PipelineDsl.Runtime.Tests.Stories;

/// <summary>Two bits a value in a real model.</summary>
public sealed class DecoupleQTests(ITestOutputHelper output)
{
    [Fact]
    public void Two_bits_lose_far_less_than_rounded_to_nearest_and_less_still_when_tuned()
    {
        var rounded = StoryModel.Stories260K(StoryFiles.Folder).Compress(new Quantize { Bits = 2, Symmetric = false }, samples: 32);
        var step = new DecoupleQ { GroupSize = 32, SearchSteps = 40, Tune = DecoupleTuning.Block, TuneSteps = 24 };
        var tuned = StoryModel.Stories260K(StoryFiles.Folder).Compress(step, samples: 32);
        output.WriteLine($"perplexity {tuned.Quality!.Before:0.000} -> {tuned.Quality.After:0.000}, rounded {rounded.Quality!.After:0.000}");
        foreach (var layer in tuned.Layers.Where(layer => layer.Facts.ContainsKey("blockLossBefore")))
        {
            layer.Facts["weightedError"].ShouldBeLessThan(0.5 * layer.Facts["weightedErrorNearest"], layer.Path);
            layer.Facts["blockLossAfter"].ShouldBeLessThanOrEqualTo(layer.Facts["blockLossBefore"], layer.Path);
        }

        tuned.Quality.After.ShouldBeLessThan(rounded.Quality.After / 10);
    }
}
