using PipelineDsl.Diagnostics;

namespace PipelineDsl.Dsl.Tests;

public sealed class SqueezeLlmTests
{
    private static readonly LayerShape Layer = new(LayerKinds.Linear, 4096, 4096);

    public static TheoryData<SqueezeLlm, string> Contradictions => new()
    {
        { new SqueezeLlm { SparseFraction = 0.01, OutlierRange = 1.8 }, nameof(SqueezeLlm.SparseFraction) },
        { new SqueezeLlm { SparseFraction = 0.001, SensitiveFraction = 0.002 }, nameof(SqueezeLlm.SensitiveFraction) },
        { new SqueezeLlm { Weighted = false }, nameof(SqueezeLlm.SensitiveFraction) },
        { new SqueezeLlm(), nameof(SqueezeLlm.Iterations) },
    };

    [Theory]
    [MemberData(nameof(Contradictions))]
    public void Settings_that_exclude_each_other_are_found_where_the_user_wrote_them(SqueezeLlm step, string given)
    {
        step.Check(Layer, new HashSet<string> { given }).Single().Id.ShouldBe(DiagnosticIds.ContradictorySettings);
        step.Check(Layer, new HashSet<string>()).ShouldBeEmpty();
    }

    [Fact]
    public void Nothing_is_wrong_with_either_way_to_choose_what_is_kept()
    {
        new SqueezeLlm { SparseFraction = 0.0045 }.Check(Layer, new HashSet<string> { nameof(SqueezeLlm.SparseFraction) }).ShouldBeEmpty();
        new SqueezeLlm { OutlierRange = 1.8, SensitiveFraction = 0.01 }.Check(Layer, new HashSet<string> { nameof(SqueezeLlm.OutlierRange), nameof(SqueezeLlm.SensitiveFraction) }).ShouldBeEmpty();
        new SqueezeLlm { Solver = TableSolver.Lloyd }.Check(Layer, new HashSet<string> { nameof(SqueezeLlm.Iterations) }).ShouldBeEmpty();
    }

    [Fact]
    public void Bits_a_weight_are_those_of_the_paper_with_half_precision()
    {
        var step = new SqueezeLlm { Bits = 3, SparseFraction = 0.0045, SparseType = ScaleType.Float16 };
        double bits = 8.0 * step.Predict(Layer, [new(4096, 4096, 0)]).Single().Bytes / Layer.Count;
        bits.ShouldBe(3 + (16 * 8 / 4096.0) + (32 * 0.0045), 0.01);
    }

    [Fact]
    public void Outliers_of_a_range_are_estimated_as_those_of_a_normal_distribution()
    {
        var step = new SqueezeLlm { Bits = 3, OutlierRange = 1.5, SensitiveFraction = 0 };
        double kept = (step.Predict(Layer, [new(4096, 4096, 0)]).Single().Bytes - step.BytesFor(4096, 4096, 0) - (4 * 4097)) / 6.0;
        (kept / Layer.Count).ShouldBe(0.00698, 0.0001);
    }

    [Fact]
    public void Vectors_beside_the_matrices_stay_as_they_are()
    {
        var vector = new MatrixCost(1, 64, 256) { IsVector = true };
        new SqueezeLlm().Predict(Layer, [vector]).ShouldBe([vector]);
    }
}
