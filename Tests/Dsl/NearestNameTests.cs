namespace PipelineDsl.Dsl.Tests;

public sealed class NearestNameTests
{
    private static readonly string[] Names = ["rank", "keepRatio", "orientation", "quantize"];

    [Theory]
    [InlineData("rnak", "rank")]
    [InlineData("Rank", "rank")]
    [InlineData("keep_ratio", "keepRatio")]
    [InlineData("orientaton", "orientation")]
    [InlineData("quantise", "quantize")]
    [InlineData("bits", null)]
    [InlineData("", null)]
    public void A_slip_of_the_finger_finds_the_name(string text, string? name) => NearestName.Find(text, Names).ShouldBe(name);

    [Fact]
    public void A_hint_asks_or_is_silent()
    {
        NearestName.Hint("rnak", Names).ShouldBe("; did you mean 'rank'?");
        NearestName.Hint("zzz", Names).ShouldBe("");
        NearestName.Hint(new string('r', 100_000), Names).ShouldBe("");
    }
}
