using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;

namespace PipelineDsl.Dsl.Tests;

public sealed class FewBitsTests
{
    private static readonly LayerShape Layer = new(LayerKinds.Linear, 64, 96);

    /// <summary>Every step of the language that has bits, by name, with what it takes when nobody says.</summary>
    public static TheoryData<string, int> Usual => new()
    {
        { "awq", 4 }, { "decoupleQ", 2 }, { "flexRound", 4 }, { "gptq", 4 }, { "hqq", 4 }, { "normalFloat", 4 }, { "nupes", 4 }, { "powerQuant", 4 }, { "quantize", 4 }, { "squeezeLlm", 3 },
    };

    [Theory]
    [MemberData(nameof(Usual))]
    public void Bits_that_are_left_out_are_open_to_a_budget_and_the_usual_ones_without(string name, int usual)
    {
        var open = (FewBits)StepCatalog.Find(name)!.Create();
        (open.IsOpen, open.MayBeLeftOut, open.Bits).ShouldBe((true, false, usual));
        var candidates = open.Candidates(Layer);
        candidates.Cast<FewBits>().Select(step => step.Bits).ShouldBe([2, 3, 4, 5, 6, 7, 8]);
        candidates.Select(step => step.ChoiceName).ShouldBe(["2 bits", "3 bits", "4 bits", "5 bits", "6 bits", "7 bits", "8 bits"]);
        long[] bytes = [.. candidates.Select(step => step.Predict(Layer, [new(64, 96, 64 * 96 * 4)]).Single().Bytes)];
        bytes.ShouldBe(bytes.Order());
        bytes.ShouldBe(bytes.Distinct());
        candidates.ShouldAllBe(step => !step.IsOpen && step.GetType() == open.GetType() && step.Candidates(Layer).Count == 0);
        open.IsOpen.ShouldBeTrue("candidates are copies");
    }

    [Fact]
    public void Every_step_with_bits_leaves_them_open_when_they_are_not_written()
    {
        StepCatalog.Steps.Where(step => step.Find("bits") is not null).ShouldAllBe(step => step.Create().IsOpen);
        StepCatalog.Steps.Where(step => step.Type.IsSubclassOf(typeof(FewBits))).Select(step => step.Name).ShouldBe(Usual.Select(row => row.Data.Item1));
    }

    [Fact]
    public void Bits_that_are_written_are_fixed_also_when_they_are_the_usual_ones()
    {
        foreach (var (text, open) in new[] { ("quantize: { groupSize: 32 }", true), ("quantize: { bits: 4, groupSize: 32 }", false), ("gptq: {}", true), ("gptq: { bits: 3 }", false) })
        {
            var parsed = RecipeParserTests.Read($"recipe: a\nmodel: M\nweights: w\nsteps:\n  - match: \"**\"\n    {text}\n");
            parsed.Diagnostics.ShouldBeEmpty();
            parsed.Draft.Rules[0].Steps[0].Step.IsOpen.ShouldBe(open, text);
        }
    }

    [Fact]
    public void Bits_out_of_range_are_refused_at_their_place()
    {
        var parsed = RecipeParserTests.Read("recipe: a\nmodel: M\nweights: w\nsteps:\n  - match: \"**\"\n    quantize: { bits: 1 }\n");
        var problem = parsed.Diagnostics.ShouldHaveSingleItem();
        (problem.Id, problem.Span.Line).ShouldBe((DiagnosticIds.InvalidValue, 6));
        problem.Message.ShouldContain("from 2 to 8");
    }

    [Fact]
    public void Two_steps_are_equal_by_what_they_do()
    {
        new Quantize().ShouldBe(new Quantize { Bits = 4 });
        new Quantize().Candidates(Layer)[0].ShouldBe(new Quantize { Bits = 2 });
        new DecoupleQ().Candidates(Layer)[1].ShouldBe(new DecoupleQ { Bits = 3 });
    }
}
