using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;

namespace PipelineDsl.Dsl.Tests;

public sealed class LqLoraTests
{
    private static readonly SourceSpan Nowhere = SourceSpan.StartOf("r.yaml");
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
        Expect(new(), DiagnosticIds.MissingSetting, "add 'bits', or a 'budget'");
        Expect(new() { Bits = 4, Rank = 4097 }, DiagnosticIds.RankTooLarge, "use at most 4096");
        Expect(new() { Bits = 4, Rank = 2048 }, DiagnosticIds.RankSavesNothing, "no fewer values");
        Expect(new() { Bits = 4, Weighted = false }, DiagnosticIds.ContradictorySettings, "'weighted: false'", nameof(LqLora.Axis));
        Expect(new() { Bits = 4, Rank = 0, LoraAlpha = 16 }, DiagnosticIds.ContradictorySettings, "'loraAlpha' has no meaning with 'rank: 0'", nameof(LqLora.LoraAlpha));
        new LqLora { Bits = 4 }.Check(Layer, new HashSet<string>()).ShouldBeEmpty();
        new LqLora { Bits = 4, Rank = 0 }.Check(Layer, new HashSet<string>()).ShouldBeEmpty();
    }

    [Fact]
    public void Without_bits_a_budget_chooses_among_the_published_configurations()
    {
        var step = new LqLora();
        step.IsOpen.ShouldBeTrue();
        new LqLora { Bits = 2 }.IsOpen.ShouldBeFalse();
        new LqLora { Bits = 2 }.Candidates(Layer).ShouldBeEmpty();

        var candidates = step.Candidates(Layer);
        candidates.Count.ShouldBe(432);
        candidates.Distinct().Count().ShouldBe(432);
        candidates.ShouldAllBe(candidate => !candidate.IsOpen && ((LqLora)candidate).Rank == 64);
        candidates.Select(Bytes).ShouldBe(candidates.Select(Bytes).Order());
        candidates.Select(candidate => candidate.ChoiceName).Distinct().Count().ShouldBe(432);
        candidates.ShouldContain(new LqLora { Bits = 4 });

        // Where tables outweigh the codes, only what saves is left, and in the end nothing.
        var small = new LayerShape(LayerKinds.Linear, 16, 24);
        var few = new LqLora { Rank = 2 }.Candidates(small);
        few.Count.ShouldBeInRange(1, 431);
        few.ShouldAllBe(candidate => candidate.Predict(small, Array.Empty<MatrixCost>()).Sum(cost => cost.Bytes) < 4 * small.Count);
        step.Candidates(new LayerShape(LayerKinds.Linear, 2, 2)).ShouldBeEmpty();

        long Bytes(Step candidate) => candidate.Predict(Layer, []).Sum(cost => cost.Bytes);
    }

    [Fact]
    public void Blocks_are_left_to_the_budget_with_the_bits_or_not_at_all()
    {
        foreach (string setting in new[] { nameof(LqLora.BlockSize), nameof(LqLora.ScaleBits), nameof(LqLora.ScaleBlock), nameof(LqLora.ScaleType) })
        {
            var problems = new LqLora().Check(Layer, new HashSet<string> { setting }).ToList();
            problems.Select(problem => problem.Id).ShouldBe([DiagnosticIds.MissingSetting, DiagnosticIds.ContradictorySettings]);
            problems[1].Setting.ShouldBe(setting);
            new LqLora { Bits = 3 }.Check(Layer, new HashSet<string> { setting }).ShouldBeEmpty();
        }
    }

    [Fact]
    public void A_recipe_without_a_budget_says_that_bits_or_a_budget_are_missing()
    {
        Problems(null).ShouldHaveSingleItem().Message.ShouldContain("add 'bits', or a 'budget' to the recipe");
        Problems(Budget.Parse("3 bpw", Nowhere, out _)).ShouldBeEmpty();

        static List<RecipeDiagnostic> Problems(Budget? budget)
        {
            var rule = new Rule("fc", new([new PlacedStep(new LqLora(), default, Nowhere)]), Nowhere);
            var recipe = new Recipe { Name = "r", Model = "M", Weights = "w", Rules = new([rule]), Budget = budget, Span = Nowhere, WeightsSpan = Nowhere };
            var found = new List<RecipeDiagnostic>();
            RecipeResolver.Resolve(recipe, [new("fc", "Linear", LayerKinds.Linear, Layer)], found.Add).Count.ShouldBe(1);
            return found;
        }
    }

    private static void Expect(LqLora step, string id, string message, params string[] given)
    {
        var problem = step.Check(Layer, new HashSet<string>(given)).ShouldHaveSingleItem();
        problem.Id.ShouldBe(id);
        problem.Message.ShouldContain(message);
    }
}
