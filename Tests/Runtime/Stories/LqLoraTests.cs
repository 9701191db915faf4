namespace PipelineDsl.Runtime.Tests.Stories;

/// <summary>Codes of three bits beside factors in a real model.</summary>
public sealed class LqLoraTests(ITestOutputHelper output)
{
    [Fact]
    public void Factors_lower_the_error_of_every_layer_that_codes_alone_would_have_and_the_model_loses_less()
    {
        var model = StoryModel.Stories260K(StoryFiles.Folder);
        var codes = model.Compress(Step(0), samples: 32);
        var fitted = model.Compress(Step(4), samples: 32);
        output.WriteLine($"perplexity {fitted.Quality!.Before:0.000}; codes alone {codes.Quality!.After:0.000}, with factors {fitted.Quality.After:0.000}");
        foreach (var layer in fitted.Layers.Where(layer => layer.Facts.ContainsKey("normalFloatError")))
        {
            layer.Facts["weightedError"].ShouldBeLessThan(layer.Facts["normalFloatError"], layer.Path);
            layer.Facts["weightedError"].ShouldBeLessThanOrEqualTo(layer.Facts["iterationError.000"], layer.Path);
        }

        fitted.Quality.After.ShouldBeLessThan(codes.Quality.After);
    }

    private static LqLora Step(int rank) => new() { Bits = 3, Rank = rank, BlockSize = 32, ScaleBlock = 64, ScaleType = RealType.Bfloat16, FactorType = RealType.Bfloat16 };
}
