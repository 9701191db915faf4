using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Runtime.Tests.Stories;

/// <summary>What compression costs real models, through the engine that the build uses.</summary>
public sealed class CompressionTests(ITestOutputHelper output)
{
    [Fact]
    public void On_stories260k_each_data_driven_orientation_beats_plain_svd_at_half_the_parameters() =>
        CompareOrientations(StoryModel.Stories260K(StoryFiles.Folder));

    [Fact]
    public void On_gsmbard_each_data_driven_orientation_beats_plain_svd_at_half_the_parameters() =>
        CompareOrientations(StoryModel.GsmBard(StoryFiles.Large("")));

    [Fact]
    public void Channels_scaled_by_their_activations_beat_plain_svd_on_stories260k()
    {
        var model = StoryModel.Stories260K(StoryFiles.Folder);
        double scaled = model.Compress(new Asvd { KeepRatio = 0.5 }, samples: 16).Quality!.After;
        scaled.ShouldBeLessThan(model.Compress(new Decompose { KeepRatio = 0.5 }, samples: 16).Quality!.After);
    }

    [Fact]
    public void Eight_bits_in_groups_of_32_cost_less_than_half_a_percent() =>
        Quantized(8).Regression.ShouldBeLessThan(0.005);

    [Fact]
    public void Four_bits_in_groups_of_32_cost_less_than_15_percent() =>
        Quantized(4).Regression.ShouldBeLessThan(0.15);

    private QualityRecord Quantized(int bits)
    {
        var quality = StoryModel.Stories260K(StoryFiles.Folder).Compress(new Quantize { Bits = bits, GroupSize = 32 }).Quality!;
        output.WriteLine($"{bits} bits: {quality.Before:0.000} -> {quality.After:0.000} ({quality.Regression:+0.0%;-0.0%})");
        return quality;
    }

    private void CompareOrientations(StoryModel model)
    {
        var perplexity = Enum.GetValues<Orientation>().ToDictionary(
            orientation => orientation,
            orientation => model.Compress(new Decompose { KeepRatio = 0.5, Orientation = orientation }).Quality!.After);
        foreach (var (orientation, value) in perplexity)
        {
            output.WriteLine($"{orientation}: {value:0.00}");
        }

        perplexity[Orientation.Whitened].ShouldBeLessThan(perplexity[Orientation.Weight]);
        perplexity[Orientation.Context].ShouldBeLessThan(perplexity[Orientation.Weight]);
        perplexity[Orientation.Fisher].ShouldBeLessThan(perplexity[Orientation.Weight]);
    }
}
