using PipelineDsl.Diagnostics;

namespace PipelineDsl.Dsl.Tests;

public sealed class DecoupleQTests
{
    private static readonly LayerShape Layer = new(LayerKinds.Linear, 30, 50);

    [Theory]
    [InlineData(2, Granularity.Group, false, ScaleType.Float16, 30 * 13 + 30 * 4 * 4)]
    [InlineData(3, Granularity.Group, false, ScaleType.Float32, 30 * 19 + 30 * 4 * 8)]
    [InlineData(4, Granularity.Channel, false, ScaleType.Float16, 30 * 25 + 30 * 4)]
    [InlineData(8, Granularity.Channel, true, ScaleType.Float16, 30 * 50 + 30 * 2)]
    public void Its_bytes_are_those_of_codes_scales_and_offsets(int bits, Granularity granularity, bool symmetric, ScaleType type, long bytes)
    {
        var step = new DecoupleQ { Bits = bits, Granularity = granularity, GroupSize = 16, Symmetric = symmetric, ScaleType = type };
        step.Predict(Layer, [new(30, 50, 6000)]).ShouldHaveSingleItem().Bytes.ShouldBe(bytes);
    }

    [Fact]
    public void Grids_that_the_method_does_not_know_are_refused()
    {
        Problem(new DecoupleQ { Granularity = Granularity.Tensor }).ShouldContain("granularity: channel");
        Problem(new DecoupleQ { Symmetric = true }).ShouldContain("granularity: channel");
        new DecoupleQ { Symmetric = true, Granularity = Granularity.Channel }.Check(Layer, new HashSet<string>()).ShouldBeEmpty();
        new DecoupleQ().Check(new LayerShape(LayerKinds.Conv2d, 32, 4 * 9) { Kernel = new(3, 3, 4) }, new HashSet<string>()).Single().Id.ShouldBe(DiagnosticIds.NotCompressible);
        new DecoupleQ { GroupSize = 51 }.Check(Layer, new HashSet<string> { nameof(Quantize.GroupSize) }).Single().Id.ShouldBe(DiagnosticIds.GroupTooLarge);
    }

    [Fact]
    public void Settings_that_nothing_reads_are_refused()
    {
        Problem(new DecoupleQ { StepsPerColumn = 3 }, nameof(DecoupleQ.StepsPerColumn)).ShouldContain("rounding: train");
        Problem(new DecoupleQ { TuneRate = 0.1 }, nameof(DecoupleQ.TuneRate)).ShouldContain("tune: block");
        new DecoupleQ { Tune = DecoupleTuning.Block, Rounding = DecoupleRounding.Train }
            .Check(Layer, new HashSet<string> { nameof(DecoupleQ.TuneRate), nameof(DecoupleQ.StepsPerColumn) }).ShouldBeEmpty();
    }

    [Fact]
    public void A_tuned_bias_takes_the_place_of_the_layers()
    {
        new DecoupleQ { TuneBias = true }.ReplacesBias(Layer).ShouldBeFalse();
        new DecoupleQ { TuneBias = true, Tune = DecoupleTuning.Layer }.ReplacesBias(Layer).ShouldBeTrue();
    }

    private static string Problem(DecoupleQ step, params string[] given)
    {
        var problem = step.Check(Layer, new HashSet<string>(given)).ShouldHaveSingleItem();
        problem.Id.ShouldBe(DiagnosticIds.ContradictorySettings);
        return problem.Message;
    }
}
