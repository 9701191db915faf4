using PipelineDsl.Diagnostics;

namespace PipelineDsl.Dsl.Tests;

public sealed class PowerQuantTests
{
    private static readonly LayerShape Layer = new(LayerKinds.Linear, 10, 33);

    [Fact]
    public void A_matrix_costs_codes_scales_and_a_table_of_levels()
    {
        new PowerQuant { Bits = 3 }.Predict(Layer, [new(10, 33, 0)]).Single().Bytes.ShouldBe((10 * 13) + (10 * 2) + (8 * 4));
        new Nupes { Granularity = Granularity.Tensor, ScaleType = ScaleType.Float32 }.Predict(Layer, [new(10, 33, 0)]).Single().Bytes.ShouldBe((10 * 17) + 4 + (16 * 4));
    }

    [Fact]
    public void Settings_that_contradict_each_other_are_refused()
    {
        Expect(new() { Symmetric = false }, "powers of magnitudes are symmetric");
        Expect(new() { Exponent = 0.5 }, "'norm' belongs to the search", nameof(PowerQuant.Norm));
        Expect(new() { LowestExponent = 1, HighestExponent = 0.5 }, "must be above 'lowestExponent'");
        new PowerQuant { Exponent = 0.5 }.Check(Layer, new HashSet<string> { nameof(PowerQuant.Exponent) }).ShouldBeEmpty();
        new Nupes().Check(Layer, new HashSet<string>()).ShouldBeEmpty();
    }

    [Fact]
    public void Only_the_trained_one_needs_data()
    {
        new PowerQuant().NeedsCalibration.ShouldBeFalse();
        new Nupes().NeedsCalibration.ShouldBeTrue();
    }

    private static void Expect(PowerQuant step, string message, params string[] given)
    {
        var problem = step.Check(Layer, new HashSet<string>(given)).ShouldHaveSingleItem();
        problem.Id.ShouldBe(DiagnosticIds.ContradictorySettings);
        problem.Message.ShouldContain(message);
    }
}
