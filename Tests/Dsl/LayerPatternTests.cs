using PipelineDsl.Recipes;

namespace PipelineDsl.Dsl.Tests;

public sealed class LayerPatternTests
{
    [Theory]
    [InlineData("a.b", "a.b", true)]
    [InlineData("a.b", "a.c", false)]
    [InlineData("a", "a.b", false)]
    [InlineData("a.*", "a.b", true)]
    [InlineData("a.*", "a.b.c", false)]
    [InlineData("layers.*.q_proj", "layers.12.q_proj", true)]
    [InlineData("layers.*.*_proj", "layers.0.q_proj", true)]
    [InlineData("layers.1*.x", "layers.12.x", true)]
    [InlineData("layers.1*.x", "layers.2.x", false)]
    [InlineData("**", "a.b.c", true)]
    [InlineData("**.norm", "norm", true)]
    [InlineData("**.norm", "a.b.norm", true)]
    [InlineData("a.**", "a", true)]
    [InlineData("a.**.c", "a.c", true)]
    [InlineData("a.**.c", "a.b.b.c", true)]
    [InlineData("a.**.b.**.c", "a.b.x.c", true)]
    [InlineData("a.**.b.**.c", "a.x.c", false)]
    [InlineData("{a,b}.{c,d}", "b.c", true)]
    [InlineData("x.{a,b{1,2}}", "x.b2", true)]
    [InlineData("x.{a.b,c}", "x.a.b", true)]
    [InlineData("layers.*.q", "layers.*.q", true)]
    [InlineData("layers.0.q", "layers.*.q", false)]
    [InlineData("head.inner.q", "head.**", true)]
    [InlineData("head", "head.**", false)]
    [InlineData("**.q", "head.**", true)]
    [InlineData("tail.q", "head.**", false)]
    public void A_pattern_matches_paths(string pattern, string path, bool matches) => new LayerPattern(pattern).Matches(path).ShouldBe(matches);

    [Theory]
    [InlineData("")]
    [InlineData("a..b")]
    [InlineData(".a")]
    [InlineData("{a")]
    [InlineData("a}")]
    [InlineData("{a,}")]
    [InlineData("***")]
    [InlineData("**_proj")]
    [InlineData("a.b**.c")]
    [InlineData("{a,**b}")]
    [InlineData("{0,1,2,3,4,5,6,7,8,9}{0,1,2,3,4,5,6,7,8,9}{0,1,2,3,4,5,6,7,8,9}{0,1}")]
    public void A_pattern_that_means_nothing_is_refused(string pattern) => Should.Throw<FormatException>(() => new LayerPattern(pattern));

    [Fact]
    public void Many_stars_cost_no_more_than_pattern_times_path()
    {
        var pattern = new LayerPattern(string.Join('.', Enumerable.Repeat("**.*a*a*a*a*", 60)));
        pattern.Matches(string.Join('.', Enumerable.Repeat("aaaaaaaaaaaaaaaaaaaab", 40))).ShouldBeFalse();
    }
}
