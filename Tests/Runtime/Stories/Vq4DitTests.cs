namespace PipelineDsl.Runtime.Tests.Stories;

/// <summary>Tables of vectors in a real model.</summary>
public sealed class Vq4DitTests(ITestOutputHelper output)
{
    [Fact]
    public void Codebooks_tuned_on_outputs_lose_less_than_those_of_k_means_and_far_less_than_rounded_to_nearest()
    {
        double Perplexity(Step step)
        {
            var manifest = StoryModel.Stories260K(StoryFiles.Folder).Compress(step, samples: 32);
            foreach (var layer in manifest.Layers.Where(layer => layer.Facts.ContainsKey("blockLossBefore")))
            {
                layer.Facts["blockLossAfter"].ShouldBeLessThanOrEqualTo(layer.Facts["blockLossBefore"], layer.Path);
            }

            output.WriteLine($"{step}: perplexity {manifest.Quality!.Before:0.000} -> {manifest.Quality.After:0.000}, {manifest.Layers.Average(layer => layer.Facts.GetValueOrDefault("bitsPerWeight")):0.00} bits, fixed {manifest.Layers.Average(layer => layer.Facts.GetValueOrDefault("fixedShare")):0.00}");
            return manifest.Quality.After;
        }

        double rounded = Perplexity(new Quantize { Bits = 2, Symmetric = false });
        double means = Perplexity(new Vq4Dit { Codewords = 64, Tune = CodebookTuning.None });
        double layers = Perplexity(new Vq4Dit { Codewords = 64, Tune = CodebookTuning.Layer });
        double blocks = Perplexity(new Vq4Dit { Codewords = 64, Iterations = 48 });
        means.ShouldBeLessThan(rounded);
        layers.ShouldBeLessThan(means / 2);
        blocks.ShouldBeLessThan(layers);
    }
}
