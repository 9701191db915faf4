using PipelineDsl.Runtime.Allocation;

namespace PipelineDsl.Runtime.Tests.Allocation;

public sealed class BlockScoresTests
{
    [Fact]
    public void Levels_come_one_after_another_the_best_score_first_and_ties_in_the_order_of_layers()
    {
        var scores = new BlockScores(Layers(3, 3, 3), [[5, 4, 4], [1, 3, 2]]);
        scores.ByScore().ShouldBe([1, 2, 0, 0, 2, 1]);
    }

    [Fact]
    public void A_layer_with_fewer_blocks_leaves_the_higher_levels_to_the_others()
    {
        var scores = new BlockScores(Layers(3, 1, 2), [[5, double.NaN, 4], [1, double.NaN, double.NaN]]);
        scores.ByScore().ShouldBe([2, 0, 0]);
    }

    [Fact]
    public void What_is_not_a_number_comes_last_in_its_level()
    {
        new BlockScores(Layers(3, 3), [[double.NaN, 9], [2, 3]]).ByScore().ShouldBe([1, 0, 0, 1]);
        new BlockScores(Layers(3, 3), [[double.NaN, double.NaN], [3, 2]]).ByScore().ShouldBe([1, 0, 1, 0]);
    }

    [Fact]
    public void A_whole_layer_that_is_not_a_number_is_an_error_that_names_it() =>
        Should.Throw<InvalidOperationException>(() => new BlockScores(Layers(2, 3), [[double.NaN, 4], [double.NaN, 2]])).Message.ShouldContain("'layer0'");

    [Fact]
    public void Gain_per_byte_prefers_the_small_layer_that_helps_nearly_as_much()
    {
        StackedLayer[] layers = [new("large", 2, 1000), new("small", 2, 100)];
        var scores = new BlockScores(layers, [[4.0, 4.1]]);
        scores.ByScore().ShouldBe([0, 1]);
        scores.ByGainPerByte([5]).ShouldBe([1, 0]);
        scores.ByGainPerByte([double.NaN]).ShouldBe([0, 1]);
    }

    private static List<StackedLayer> Layers(params int[] blocks) => [.. blocks.Select((count, i) => new StackedLayer($"layer{i}", count, 100))];
}
