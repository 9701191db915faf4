using PipelineDsl.Diagnostics;

namespace PipelineDsl.Dsl.Tests;

public sealed class LqLoraTests
{
    private static readonly LayerShape Layer = new(LayerKinds.Linear, 4096, 4096);

    [Fact]
    public void Settings_that_nobody_writes_are_those_of_the_published_configurations()
    {
        var step = (LqLora)StepCatalog.Find("lqLora")!.Create();
        (step.Rank, step.BlockSize, step.ScaleBits, step.ScaleBlock, step.ScaleType).ShouldBe((64, 64, 8, 256, RealType.Float32));
        (step.Iterations, step.Axis, step.FactorType).ShouldBe((100, FisherAxis.Both, RealType.Float32));
        step.Needs.ShouldBe(StatisticKinds.FisherDiagonal);
        new LqLora { Weighted = false }.Needs.ShouldBe(StatisticKinds.None);
        step.EndsChain.ShouldBeTrue();
    }

    [Fact]
    public void Settings_are_read_by_their_names()
    {
        var descriptor = StepCatalog.Find("lqLora")!;
        var step = descriptor.Create();
        Set("bits", "3");
        Set("scaleType", "bfloat16");
        Set("factorType", "float16");
        Set("axis", "output");
        Set("parity", "official");
        StepCatalog.Describe(step).ShouldBe(StepCatalog.Describe(new LqLora { Bits = 3, ScaleType = RealType.Bfloat16, FactorType = RealType.Float16, Axis = FisherAxis.Output, Parity = Parity.Official }));
        descriptor.Find("bits")!.CheckRange(9).ShouldNotBeNull().ShouldContain("2 to 8");
        descriptor.Find("scaleBits")!.CheckRange(1).ShouldNotBeNull().ShouldContain("2 to 8");
        descriptor.Find("scaleType")!.TryParse("float8", out _, out string problem).ShouldBeFalse();
        problem.ShouldContain("float32, bfloat16, float16");

        void Set(string name, string text)
        {
            descriptor.Find(name)!.TryParse(text, out object value, out _).ShouldBeTrue(name);
            descriptor.Find(name)!.Set(step, value);
        }
    }

    [Fact]
    public void Bits_a_weight_are_those_of_the_paper()
    {
        const long Table = 4 * 16;
        const long Offset = 4;
        var codes = new LqLora { Bits = 4 }.Predict(Layer, [])[0];
        (8.0 * (codes.Bytes - Table - Offset) / Layer.Count).ShouldBe(4.126953, 5e-7);
        new LqLora { Bits = 4, FactorType = RealType.Bfloat16 }.Predict(Layer, []).Sum(cost => cost.Bytes).ShouldBe(codes.Bytes + (2 * 64 * (4096 + 4096)));
        new LqLora { Bits = 4, Rank = 0 }.Predict(Layer, []).ShouldHaveSingleItem().ShouldBe(codes);
    }

    [Fact]
    public void Settings_that_contradict_each_other_are_refused()
    {
        Expect(new(), DiagnosticIds.MissingSetting, "add 'bits'");
        Expect(new() { Bits = 4, Rank = 4097 }, DiagnosticIds.RankTooLarge, "use at most 4096");
        Expect(new() { Bits = 4, Rank = 2048 }, DiagnosticIds.RankSavesNothing, "no fewer values");
        Expect(new() { Bits = 4, Weighted = false }, DiagnosticIds.ContradictorySettings, "'weighted: false'", nameof(LqLora.Axis));
        Expect(new() { Bits = 4, Rank = 0, LoraAlpha = 16 }, DiagnosticIds.ContradictorySettings, "'loraAlpha' has no meaning with 'rank: 0'", nameof(LqLora.LoraAlpha));
        new LqLora { Bits = 4 }.Check(Layer, new HashSet<string>()).ShouldBeEmpty();
        new LqLora { Bits = 4, Rank = 0 }.Check(Layer, new HashSet<string>()).ShouldBeEmpty();
    }

    private static void Expect(LqLora step, string id, string message, params string[] given)
    {
        var problem = step.Check(Layer, new HashSet<string>(given)).ShouldHaveSingleItem();
        problem.Id.ShouldBe(id);
        problem.Message.ShouldContain(message);
    }
}
