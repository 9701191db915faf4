namespace PipelineDsl.Runtime.Tests.Stories;

/// <summary>Learned rounding of a real model, block by block.</summary>
public sealed class FlexRoundTests(ITestOutputHelper output)
{
    [Fact]
    public void Every_block_loses_less_than_rounded_to_nearest_on_data_it_was_trained_on_and_on_held_out_data()
    {
        var manifest = StoryModel.Stories260K(StoryFiles.Folder).Compress(new FlexRound { Bits = 3, Iterations = 24 }, samples: 32);
        foreach (var layer in manifest.Layers.Where(layer => layer.Path.EndsWith("q_proj", StringComparison.Ordinal)))
        {
            output.WriteLine($"{layer.Path}: {layer.Facts["blockLossRounded"]:g4} -> {layer.Facts["blockLossAfter"]:g4}, held out {layer.Facts["heldOutRounded"]:g4} -> {layer.Facts["heldOutAfter"]:g4}");
            layer.Facts["blockLossAfter"].ShouldBeLessThan(layer.Facts["blockLossRounded"]);
            layer.Facts["heldOutAfter"].ShouldBeLessThan(layer.Facts["heldOutRounded"]);
        }

        var rounded = StoryModel.Stories260K(StoryFiles.Folder).Compress(new Quantize { Bits = 3, Granularity = Granularity.Channel, Symmetric = false }, samples: 32);
        output.WriteLine($"perplexity {manifest.Quality!.Before:0.000} -> {manifest.Quality.After:0.000}, rounded {rounded.Quality!.After:0.000}");
        manifest.Quality.After.ShouldBeLessThan(rounded.Quality.After);
    }
}
