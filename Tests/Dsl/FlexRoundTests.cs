using PipelineDsl.Diagnostics;

namespace PipelineDsl.Dsl.Tests;

public sealed class FlexRoundTests
{
    [Fact]
    public void A_rank_without_the_low_rank_form_is_a_contradiction()
    {
        var given = new HashSet<string> { nameof(FlexRound.LrqRank) };
        new FlexRound { LrqRank = 4 }.Check(null, given).Single().Id.ShouldBe(DiagnosticIds.ContradictorySettings);
        new FlexRound { LrqRank = 4, Form = FlexRoundForm.Lrq }.Check(null, given).ShouldBeEmpty();
    }

    [Fact]
    public void Contradictions_of_every_grid_are_found_here_too()
    {
        var given = new HashSet<string> { nameof(Quantize.GroupSize) };
        new FlexRound { GroupSize = 8 }.Check(null, given).Single().Id.ShouldBe(DiagnosticIds.ContradictorySettings);
    }

    [Fact]
    public void Its_bytes_are_those_of_a_plain_grid_for_the_divisors_are_not_stored()
    {
        var shape = new LayerShape(LayerKinds.Linear, 30, 50);
        var plain = new Quantize { Bits = 3, Granularity = Granularity.Channel, Symmetric = false };
        new FlexRound { Bits = 3, Form = FlexRoundForm.Lrq }.Predict(shape, [new(30, 50, 6000)]).ShouldBe(plain.Predict(shape, [new(30, 50, 6000)]));
    }

    [Fact]
    public void It_learns_from_calibration_data()
    {
        new FlexRound().NeedsCalibration.ShouldBeTrue();
        new Quantize().NeedsCalibration.ShouldBeFalse();
        new Decompose { Rank = 1, Orientation = Orientation.Context }.NeedsCalibration.ShouldBeTrue();
    }
}
