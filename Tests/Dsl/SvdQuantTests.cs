using PipelineDsl.Diagnostics;

namespace PipelineDsl.Dsl.Tests;

public sealed class SvdQuantTests
{
    private static readonly LayerShape Layer = new(LayerKinds.Linear, 3072, 3072);

    [Fact]
    public void The_published_settings_cost_what_the_paper_says()
    {
        const double Weights = 3072.0 * 3072;
        (8 * Bytes(new SvdQuant()) / Weights).ShouldBe(4.59, 0.01);
        Bytes(new SvdQuant { Format = FourBitFormat.Nvfp4 }).ShouldBe((3072 * 3072 / 2) + (3072 * 3072 / 16) + 4 + (2 * 32 * (3072 + 3072)) + (2 * 3072) + (4 * (16 + 256)));
    }

    [Fact]
    public void A_group_follows_the_format_unless_it_is_given()
    {
        ((SvdQuant)new SvdQuant().Resolve(Layer)).GroupSize.ShouldBe(64);
        ((SvdQuant)new SvdQuant { Format = FourBitFormat.Nvfp4 }.Resolve(Layer)).GroupSize.ShouldBe(16);
        ((SvdQuant)new SvdQuant { GroupSize = 128 }.Resolve(Layer)).GroupSize.ShouldBe(128);
    }

    [Fact]
    public void Settings_that_contradict_each_other_are_refused()
    {
        Expect(new() { ActivationBits = 5 }, DiagnosticIds.InvalidValue, "4, 8 and 0");
        Expect(new() { ActivationBits = 8, Format = FourBitFormat.Nvfp4 }, DiagnosticIds.ContradictorySettings, "'format: nvfp4'");
        Expect(new() { ActivationBits = 8, InputShift = 1 }, DiagnosticIds.ContradictorySettings, "unsigned codes");
        Expect(new() { Format = FourBitFormat.Nvfp4, InputShift = 1 }, DiagnosticIds.ContradictorySettings, "unsigned codes");
        Expect(new() { Format = FourBitFormat.Nvfp4, Rounding = ResidualRounding.Gptq }, DiagnosticIds.ContradictorySettings, "works on integers");
        Expect(new() { Alpha = 0.3 }, DiagnosticIds.ContradictorySettings, "'alpha' has no meaning with 'smoothing: both'", nameof(SvdQuant.Alpha));
        Expect(new() { Smoothing = SmoothingFamily.Fixed }, DiagnosticIds.ContradictorySettings, "'smoothingSteps' has no meaning", nameof(SvdQuant.SmoothingSteps));
        Expect(new() { Smoothing = SmoothingFamily.None }, DiagnosticIds.ContradictorySettings, "'beta' has no meaning", nameof(SvdQuant.Beta));
        Expect(new() { Rank = 3073 }, DiagnosticIds.RankTooLarge, "use at most 3072");
        Expect(new() { Rank = 1536 }, DiagnosticIds.RankSavesNothing, "no fewer values");
        Expect(new() { GroupSize = 4000 }, DiagnosticIds.GroupTooLarge, "use at most 3072", nameof(SvdQuant.GroupSize));
        new SvdQuant().Check(Layer, new HashSet<string>()).ShouldBeEmpty();
        new SvdQuant { Rank = 0, Smoothing = SmoothingFamily.Fixed, Alpha = 0.2 }.Check(Layer, new HashSet<string> { nameof(SvdQuant.Alpha) }).ShouldBeEmpty();
    }

    [Fact]
    public void Nothing_may_follow_and_inputs_are_asked_for()
    {
        new SvdQuant().EndsChain.ShouldBeTrue();
        new SvdQuant().Needs.ShouldBe(StatisticKinds.InputSamples | StatisticKinds.InputMagnitudes);
    }

    private static long Bytes(SvdQuant step) => step.Predict(Layer, []).Sum(cost => cost.Bytes);

    private static void Expect(SvdQuant step, string id, string message, params string[] given)
    {
        var problem = step.Check(Layer, new HashSet<string>(given)).ShouldHaveSingleItem();
        problem.Id.ShouldBe(id);
        problem.Message.ShouldContain(message);
    }
}
