using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;

namespace PipelineDsl.Dsl.Tests;

public sealed class RecipeResolverTests
{
    private static readonly SourceSpan Nowhere = SourceSpan.StartOf("r.yaml");

    [Fact]
    public void Steps_of_one_layer_run_in_the_order_of_their_stages()
    {
        var layers = Resolve(out var problems, Rule("a", new Quantize()), Rule("**", new Decompose { Rank = 2 }));
        problems.ShouldBeEmpty();
        layers.Single(layer => layer.Layer.Path == "a").Steps.Select(step => step.Step.Stage).ShouldBe([Stage.Decompose, Stage.Quantize]);
    }

    [Fact]
    public void Two_steps_of_one_stage_contradict_each_other()
    {
        Resolve(out var problems, Rule("a", new Quantize { Bits = 4 }), Rule("*", new Quantize { Bits = 3 }));
        problems.ShouldHaveSingleItem().Id.ShouldBe(DiagnosticIds.ContradictorySteps);
    }

    [Fact]
    public void Keep_wins_over_broader_patterns()
    {
        var layers = Resolve(out var problems, Rule("**", new Quantize()), Rule("a", new Keep()));
        problems.ShouldBeEmpty();
        layers.Single(layer => layer.Layer.Path == "a").Steps.ShouldBeEmpty();
    }

    [Fact]
    public void Keep_beside_a_step_in_one_rule_is_a_contradiction()
    {
        Resolve(out var problems, Rule("a", new Keep(), new Quantize()));
        problems.ShouldHaveSingleItem().Id.ShouldBe(DiagnosticIds.ContradictorySteps);
    }

    [Fact]
    public void A_higher_level_wins_layer_by_layer_and_says_so()
    {
        var layers = Resolve(out var problems, Rule("**", new Quantize { Bits = 4 }), Rule("a", new Quantize { Bits = 3 }) with { Level = 1 });
        problems.ShouldHaveSingleItem().Severity.ShouldBe(Severity.Info);
        layers.Single(layer => layer.Layer.Path == "a").Steps.Single().Step.ShouldBe(new Quantize { Bits = 3 });
        layers.Single(layer => layer.Layer.Path == "b").Steps.Single().Step.ShouldBe(new Quantize { Bits = 4 });
    }

    [Fact]
    public void Nothing_follows_a_step_that_leaves_no_matrix()
    {
        Resolve(out var problems, Rule("a", new BitStack { Rank = 2 }, new Quantize()));
        var problem = problems.ShouldHaveSingleItem();
        problem.Id.ShouldBe(DiagnosticIds.ContradictorySteps);
        problem.Message.ShouldContain("'quantize' after 'bitStack'");
    }

    [Fact]
    public void A_stack_whose_blocks_cannot_be_or_save_nothing_is_reported()
    {
        Resolve(out var problems, Rule("a", new BitStack { Rank = 9 }));
        problems.ShouldHaveSingleItem().Id.ShouldBe(DiagnosticIds.RankTooLarge);
        Resolve(out problems, Rule("a", new BitStack { Rank = 2 })).ShouldNotBeEmpty();
        problems.ShouldBeEmpty();
        Resolve(out problems, Rule("a", new BitStack { Rank = 8 }));
        problems.ShouldHaveSingleItem().Id.ShouldBe(DiagnosticIds.RankSavesNothing);
        new BitStack { ScaleWeight = false }.Check(null, new HashSet<string> { nameof(BitStack.ScaleEps) }).ShouldHaveSingleItem().Id.ShouldBe(DiagnosticIds.ContradictorySettings);
    }

    [Fact]
    public void A_rank_above_the_smaller_side_is_an_error()
    {
        Resolve(out var problems, Rule("a", new Decompose { Rank = 9 }));
        problems.ShouldHaveSingleItem().Message.ShouldBe("rank 9 exceeds min(in=8, out=16); use at most 8 (layer 'a')");
    }

    [Fact]
    public void Each_step_of_a_rule_says_what_it_works_on()
    {
        Resolve(out var problems, Rule("norm", new Corda { Rank = 2 }, new Quantize()));
        problems.ShouldHaveSingleItem().Message.ShouldStartWith("'corda' works on Linear only, 'quantize' works on Linear, Embedding and Conv2d only, and 'norm' matches 'norm' (LayerNorm)");
        Resolve(out problems, Rule("norm", new Decompose { Rank = 2 }, new Quantize()));
        problems.ShouldHaveSingleItem().Message.ShouldStartWith("'decompose' and 'quantize' work on Linear, Embedding and Conv2d only, and 'norm'");
    }

    [Fact]
    public void A_rank_may_be_left_out_where_there_is_a_budget()
    {
        Resolve(out var problems, Rule("a", new Decompose { Orientation = Orientation.Whitened }));
        problems.ShouldHaveSingleItem().Id.ShouldBe(DiagnosticIds.MissingSetting);
        Resolve(new Budget(600, BudgetUnit.Bytes, "600 B", Nowhere), out problems, Rule("a", new Decompose { Orientation = Orientation.Whitened }));
        problems.ShouldBeEmpty();
        Resolve(new Budget(600, BudgetUnit.Bytes, "600 B", Nowhere), out problems, Rule("a", new Corda { Use = CordaUse.Adapter }));
        problems.ShouldHaveSingleItem().Id.ShouldBe(DiagnosticIds.MissingSetting);
    }

    [Fact]
    public void A_mistake_that_many_layers_share_is_said_once()
    {
        Resolve(out var problems, Rule("{a,b}", new Decompose { Rank = 99 }));
        problems.ShouldHaveSingleItem().Message.ShouldEndWith("(layer 'a'); the same for 1 more layer");
    }

    [Fact]
    public void A_pattern_below_members_that_the_source_does_not_show_is_left_to_the_build()
    {
        Resolve(out var problems, Rule("open.inner.x", new Quantize()), Rule("open.inner.y", new Quantize())).ShouldBeEmpty();
        problems.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("c", DiagnosticIds.PatternMatchesNothing)]
    [InlineData("norm", DiagnosticIds.NotCompressible)]
    [InlineData("{a", DiagnosticIds.InvalidValue)]
    public void A_pattern_that_hits_no_layer_is_an_error(string pattern, string id)
    {
        Resolve(out var problems, Rule(pattern, new Quantize()));
        problems.ShouldHaveSingleItem().Id.ShouldBe(id);
    }

    [Fact]
    public void An_entry_whose_every_layer_is_kept_by_another_has_no_effect()
    {
        Resolve(out var problems, Rule("a", new Quantize()), Rule("*", new Keep()));
        var problem = problems.ShouldHaveSingleItem();
        (problem.Id, problem.Severity).ShouldBe((DiagnosticIds.WithoutEffect, Severity.Warning));
        problem.Message.ShouldBe("'a' changes no layer: all that it matches is kept on line 1; drop this entry or narrow the one that keeps");
        Resolve(out problems, Rule("a", new Keep()), Rule("b", new Keep()), Rule("{a,b}", new Quantize()));
        problems.ShouldHaveSingleItem().Id.ShouldBe(DiagnosticIds.WithoutEffect);
    }

    [Fact]
    public void An_entry_that_may_reach_what_the_source_does_not_show_has_an_effect()
    {
        Resolve(out var problems, Rule("**.deep", new Quantize()), Rule("a", new Keep()), Rule("b", new Keep()), Rule("open.**", new Keep()));
        problems.ShouldBeEmpty();
    }

    [Fact]
    public void An_entry_that_the_recipe_above_keeps_is_no_mistake()
    {
        Resolve(out var problems, Rule("a", new Quantize()), Rule("a", new Keep()) with { Level = 1 });
        problems.ShouldHaveSingleItem().Id.ShouldBe(DiagnosticIds.OverriddenLayer);
    }

    [Fact]
    public void A_step_beside_others_that_works_on_none_of_the_layers_has_no_effect()
    {
        Resolve(out var problems, Rule("table", new Quantize { Bits = 4 }, new Corda { Rank = 2 }));
        problems.ShouldHaveSingleItem().Message.ShouldBe("'corda' changes no layer: it works on Linear only, and 'table' matches none; drop it or widen the pattern");
        Resolve(out problems, Rule("{table,a}", new Quantize { Bits = 4 }, new Corda { Rank = 2 }));
        problems.ShouldBeEmpty();
    }

    private static Rule Rule(string match, params Step[] steps) => new(match, new(steps.Select(step => new PlacedStep(step, default, Nowhere))), Nowhere);

    private static IReadOnlyList<ResolvedLayer> Resolve(out List<RecipeDiagnostic> problems, params Rule[] rules) => Resolve(null, out problems, rules);

    private static IReadOnlyList<ResolvedLayer> Resolve(Budget? budget, out List<RecipeDiagnostic> problems, params Rule[] rules)
    {
        LayerCandidate[] layers =
        [
            new("a", "Linear", LayerKinds.Linear, new(LayerKinds.Linear, 16, 8)),
            new("b", "Linear", LayerKinds.Linear, new(LayerKinds.Linear, 16, 8)),
            new("table", "Embedding", LayerKinds.Embedding, new(LayerKinds.Embedding, 16, 8)),
            new("norm", "LayerNorm", LayerKinds.None, null),
            new("open.**", "Module", null, null),
        ];
        var found = new List<RecipeDiagnostic>();
        problems = found;
        var recipe = new Recipe { Name = "r", Model = "M", Weights = "w", Rules = new(rules), Budget = budget, Span = Nowhere, WeightsSpan = Nowhere };
        return RecipeResolver.Resolve(recipe, layers, found.Add);
    }
}
