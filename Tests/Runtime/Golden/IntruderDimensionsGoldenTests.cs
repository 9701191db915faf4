using System.Globalization;
using PipelineDsl.Runtime.Analysis;
using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>Cosines and counts against the official expression, mitigation against peft's function and the exact edit.</summary>
[Trait("Category", "Golden")]
public sealed class IntruderDimensionsGoldenTests : IDisposable
{
    private const string CountName = "out.count_eps";

    private readonly DisposeScope scope = NewDisposeScope();
    private readonly GoldenFile golden = GoldenFile.Open("intruder-dimensions");
    private readonly IntruderDimensions settings;
    private readonly IntruderSearch analysis;
    private readonly IntruderMitigation mitigation;
    private readonly double scaling;
    private readonly FactorPair adapter;
    private readonly Tensor baseWeight;
    private readonly Tensor tuned;

    public IntruderDimensionsGoldenTests()
    {
        settings = new() { TopK = golden.Integer("top_k"), Threshold = golden.Number("epsilon") };
        analysis = new(settings);
        mitigation = new() { Lambda = golden.Number("mitigation_lambda") };
        scaling = golden.Number("scaling");
        adapter = new(golden["in.lora_B"], golden["in.lora_A"]);
        baseWeight = golden["in.W0"];
        tuned = baseWeight + (scaling * adapter.Multiply());
    }

    public void Dispose() => scope.Dispose();

    [Fact]
    public void Cosines_of_both_sides_and_singular_values_are_reproduced()
    {
        var left = analysis.Compare(baseWeight, tuned);
        left.MaxCosines.ToArray().ShouldBeNear(golden["out.max_cos"], 1e-9);
        left.BaseSingularValues.ToArray().ShouldBeNear(golden["out.singular_values_base"], 1e-12);
        left.SingularValues.ToArray().ShouldBeNear(golden["out.singular_values_tuned"], 1e-12);
        new IntruderSearch(new() { TopK = settings.TopK, Threshold = settings.Threshold, Side = SingularSide.Right }).Compare(baseWeight, tuned).MaxCosines.ToArray().ShouldBeNear(golden["out.max_cos_right"], 1e-9);
    }

    [Fact]
    public void Intruders_counts_and_the_share_of_energy_are_reproduced()
    {
        var found = analysis.Compare(baseWeight, tuned);
        found.Intruders.Select(j => (long)j).ShouldBe(golden["out.intruder_idx"].data<long>().ToArray());
        found.Count.ShouldBe((int)golden.Scalar("out.count"));
        found.EnergyShare.ShouldBeNear(golden.Scalar("out.intruder_energy_share"), 1e-10);
        string[] counts = [.. golden.Names.Where(name => name.StartsWith(CountName, StringComparison.Ordinal))];
        counts.ShouldNotBeEmpty();
        foreach (string name in counts)
        {
            double epsilon = double.Parse(name[CountName.Length..], CultureInfo.InvariantCulture);
            found.CountAt(epsilon, settings.TopK).ShouldBe((int)golden.Scalar(name), name);
        }
    }

    [Fact]
    public void The_exact_edit_is_reproduced_as_a_weight_and_as_an_adapter()
    {
        var found = analysis.Compare(baseWeight, tuned);
        mitigation.Apply(tuned, found).ShouldBeNear(golden["out.W_mitigated_exact"], 1e-11);
        (baseWeight + mitigation.ApplyExactly(baseWeight, adapter, scaling, found).Multiply()).ShouldBeNear(golden["out.W_mitigated_exact"], 1e-11);
    }

    [Fact]
    public void The_edit_in_the_rank_of_the_adapter_is_that_of_peft()
    {
        var edited = mitigation.ApplyInRank(baseWeight, adapter, scaling, analysis.Compare(baseWeight, tuned));
        edited.B.shape.ShouldBe(adapter.B.shape);
        edited.A.shape.ShouldBe(adapter.A.shape);
        (scaling * edited.Multiply()).ShouldBeNear(golden["out.deltaW_mitigated_peft"], 1e-9);
    }
}
