using PipelineDsl.Diagnostics;

namespace PipelineDsl.Dsl.Tests;

public sealed class DecomposeTests
{
    private static readonly LayerShape Table = new(LayerKinds.Embedding, 1000, 16);
    private static readonly LayerShape Convolution = new(LayerKinds.Conv2d, 32, 16 * 9) { Kernel = new(3, 3, 1) };

    [Theory]
    [InlineData(Orientation.Weight, null)]
    [InlineData(Orientation.Whitened, null)]
    [InlineData(Orientation.Output, null)]
    [InlineData(Orientation.Fisher, "orientation 'fisher' has no meaning for an embedding")]
    [InlineData(Orientation.Context, "orientation 'context' has no meaning for an embedding")]
    public void An_embedding_takes_orientations_that_lookups_give_a_meaning(Orientation orientation, string? problem) =>
        Expect(Table, new Decompose { Rank = 4, Orientation = orientation }, DiagnosticIds.ContradictorySettings, problem);

    [Theory]
    [InlineData(Orientation.Weight, null)]
    [InlineData(Orientation.Whitened, "'convForm: spatialWise' takes apart")]
    public void A_spatial_convolution_takes_the_weight_orientation_only(Orientation orientation, string? problem)
    {
        Expect(Convolution, new Decompose { Rank = 4, Orientation = orientation, ConvForm = ConvForm.SpatialWise }, DiagnosticIds.ContradictorySettings, problem);
        Expect(Convolution, new Decompose { Rank = 4, Orientation = orientation }, DiagnosticIds.ContradictorySettings, null);
    }

    [Fact]
    public void A_convolution_of_several_groups_is_refused()
    {
        var grouped = new LayerShape(LayerKinds.Conv2d, 32, 4 * 9) { Kernel = new(3, 3, 4) };
        Expect(grouped, new Decompose { Rank = 4 }, DiagnosticIds.NotCompressible, "a convolution of 4 groups");
    }

    [Fact]
    public void A_spatial_rank_is_measured_against_the_matrix_that_is_factored()
    {
        Expect(Convolution, new Decompose { Rank = 49, ConvForm = ConvForm.SpatialWise }, DiagnosticIds.RankTooLarge, "rank 49 exceeds min(in=48, out=96)");
        Expect(Convolution, new Decompose { Rank = 32, ConvForm = ConvForm.SpatialWise }, DiagnosticIds.RankSavesNothing, "smaller only below rank 32");
        Expect(Convolution, new Decompose { Rank = 31, ConvForm = ConvForm.SpatialWise }, "", null);
        Expect(Convolution, new Decompose { Rank = 33 }, DiagnosticIds.RankTooLarge, "rank 33 exceeds min(in=144, out=32)");
    }

    [Fact]
    public void A_kernel_that_the_source_does_not_show_is_left_to_the_build() =>
        Expect(Convolution with { Kernel = null }, new Decompose { Rank = 4000, ConvForm = ConvForm.SpatialWise }, "", null);

    [Fact]
    public void Costs_are_those_of_the_stored_factors()
    {
        Bytes(Convolution, new Decompose { Rank = 5 }).ShouldBe(4 * 5 * (32 + 144));
        Bytes(Convolution, new Decompose { Rank = 5, ConvForm = ConvForm.SpatialWise }).ShouldBe(4 * 5 * (96 + 48));
        Bytes(Table, new Decompose { Rank = 5 }).ShouldBe(4 * 5 * (1000 + 16));
        Bytes(Table, new MimicFeatures { Rank = 5 }).ShouldBe(4 * (5 * (1000 + 16) + 16));
        Bytes(Table with { Kind = LayerKinds.Linear }, new MimicFeatures { Rank = 5 }).ShouldBe(4 * 5 * (1000 + 16));
    }

    [Fact]
    public void Quantising_leaves_the_mean_as_it_is()
    {
        var costs = new Quantize { Bits = 8, Granularity = Granularity.Channel }.Predict(Table, new MimicFeatures { Rank = 4 }.Predict(Table, []));
        costs.Sum(cost => cost.Bytes).ShouldBe(1000 * (4 + 2) + 4 * (16 + 2) + 16 * 4);
    }

    [Fact]
    public void The_mean_counts_when_a_table_is_too_narrow_to_gain()
    {
        var narrow = new LayerShape(LayerKinds.Embedding, 20, 10);
        Expect(narrow, new Decompose { Rank = 6 }, "", null);
        Expect(narrow, new MimicFeatures { Rank = 6 }, "", null);
        Expect(new(LayerKinds.Embedding, 15, 10), new Decompose { Rank = 6 }, DiagnosticIds.RankSavesNothing, "saves nothing");
        Expect(new(LayerKinds.Embedding, 16, 10), new Decompose { Rank = 6 }, "", null);
        Expect(new(LayerKinds.Embedding, 16, 10), new MimicFeatures { Rank = 6 }, DiagnosticIds.RankSavesNothing, "saves nothing");
    }

    [Fact]
    public void Statistics_depend_on_the_kind_of_the_layer()
    {
        var linear = Table with { Kind = LayerKinds.Linear };
        new MimicFeatures().NeedsOf(linear).ShouldBe(StatisticKinds.InputMoments);
        new MimicFeatures().NeedsOf(Table).ShouldBe(StatisticKinds.AccessCounts);
        new MimicFeatures { Weighting = RowWeighting.Uniform }.NeedsOf(Table).ShouldBe(StatisticKinds.None);
        new Decompose().NeedsOf(Table).ShouldBe(StatisticKinds.None);
        new Decompose { Orientation = Orientation.Whitened }.NeedsOf(Table).ShouldBe(StatisticKinds.AccessCounts);
        new Decompose { Orientation = Orientation.Whitened }.NeedsOf(Convolution).ShouldBe(StatisticKinds.InputMoments);
        new Corda().NeedsOf(linear).ShouldBe(StatisticKinds.ContextCovariance);
    }

    [Fact]
    public void Settings_that_a_method_cannot_use_are_refused()
    {
        Expect(null, new MimicFeatures { Rank = 4, Orientation = Orientation.Weight }, DiagnosticIds.ContradictorySettings, "in the output orientation only");
        Expect(Table, new MimicFeatures { Rank = 4, PaddingIndex = 1000 }, DiagnosticIds.ContradictorySettings, "use at most 999");
        new Corda { Rank = 4 }.Check(null, new HashSet<string> { nameof(Decompose.ConvForm) }).ShouldHaveSingleItem().Message.ShouldContain("'convForm' has no meaning");
        new Decompose { Rank = 4 }.Check(null, new HashSet<string> { nameof(Decompose.ConvForm) }).ShouldBeEmpty();
    }

    private static long Bytes(LayerShape shape, Decompose step) => step.Predict(shape, []).Sum(cost => cost.Bytes);

    private static void Expect(LayerShape? shape, Step step, string id, string? message)
    {
        var problems = step.Check(shape, new HashSet<string>()).ToList();
        if (message is null)
        {
            problems.ShouldBeEmpty();
            return;
        }

        problems.ShouldHaveSingleItem().Id.ShouldBe(id);
        problems[0].Message.ShouldContain(message);
    }
}
