using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;

namespace PipelineDsl.Dsl.Tests;

public sealed class RecipeBinderTests
{
    private const string Base = "recipe: base\nmodel: M\nweights: w.safetensors\nseed: 5\ncalibrate: { data: c.txt }\nsteps:\n  - match: a\n    keep:\n";

    [Fact]
    public void A_recipe_inherits_what_it_does_not_say_and_stands_a_level_higher()
    {
        var recipe = Bind("recipe: top\nextends: middle\nweights: own.safetensors\nsteps:\n  - match: c\n    keep:\n", out var problems, Base, "recipe: middle\nextends: base\nsteps:\n  - match: b\n    keep:\n");
        problems.ShouldBeEmpty();
        (recipe!.Name, recipe.Model, recipe.Weights, recipe.Seed, recipe.Calibrate!.Data).ShouldBe(("top", "M", "own.safetensors", 5, "c.txt"));
        recipe.Rules.Select(rule => (rule.Match, rule.Level)).ShouldBe([("a", 0), ("b", 1), ("c", 2)]);
    }

    [Fact]
    public void Exports_are_inherited_and_dropped_by_none()
    {
        string exporting = Base + "export: [ gptq, gguf ]\n";
        Bind("recipe: top\nextends: base\n", out _, exporting)!.Export.ShouldBe(ExportFormats.Gptq | ExportFormats.Gguf);
        Bind("recipe: top\nextends: base\nexport: none\n", out _, exporting)!.Export.ShouldBe(ExportFormats.None);
    }

    [Fact]
    public void Training_is_inherited_whole_and_overridden_whole()
    {
        string training = Base.Replace("keep:", "corda: { rank: 4, use: adapter }") + "train: { data: t.txt, steps: 5, learningRate: 1e-3 }\n";
        Bind("recipe: top\nextends: base\n", out var problems, training)!.Train!.Settings.Steps.ShouldBe(5);
        problems.ShouldBeEmpty();
        var settings = Bind("recipe: top\nextends: base\ntrain: { data: own.txt }\n", out problems, training)!.Train!.Settings;
        problems.ShouldBeEmpty();
        (settings.Data, settings.Steps, settings.LearningRate).ShouldBe(("own.txt", 0, 0));
    }

    [Fact]
    public void A_circle_is_an_error()
    {
        Bind("recipe: a\nextends: b\n", out var problems, "recipe: b\nextends: a\n").ShouldBeNull();
        problems.ShouldHaveSingleItem().Message.ShouldBe("recipes extend each other in a circle: a → b → a; let one of them stand alone");
        Bind("recipe: b\nextends: a\n", out problems, "recipe: a\nextends: b\n").ShouldBeNull();
        problems.ShouldBeEmpty("a circle is one mistake");
    }

    [Fact]
    public void An_unknown_base_is_an_error_with_a_hint()
    {
        Bind("recipe: a\nextends: bse\n", out var problems, Base).ShouldBeNull();
        problems.ShouldHaveSingleItem().ToString().ShouldBe("r.yaml(2,10,2,13): error PDSL1016: there is no recipe 'bse' to extend; did you mean 'base'?");
    }

    [Theory]
    [InlineData("/abs/w", false)]
    [InlineData("C:\\w", false)]
    [InlineData("a/../../w", false)]
    [InlineData("..", false)]
    [InlineData("a/../w", true)]
    [InlineData("./w", true)]
    [InlineData("a..b/w", true)]
    public void Paths_stay_inside_the_project(string path, bool inside)
    {
        Bind(Base.Replace("keep:", "gptq:").Replace("w.safetensors", $"'{path}'"), out var problems);
        problems.Select(problem => problem.Id).ShouldBe(inside ? [] : [DiagnosticIds.PathOutsideProject]);
    }

    [Fact]
    public void A_step_that_learns_needs_calibration_data()
    {
        Bind(Base.Replace("calibrate: { data: c.txt }\n", "").Replace("keep:", "corda: { rank: 2 }"), out var problems);
        problems.ShouldHaveSingleItem().ToString().ShouldBe("r.yaml(7,5,7,10): error PDSL1005: 'corda' learns from calibration data and the recipe names none; add 'calibrate' with the data to use");
    }

    [Fact]
    public void A_budget_is_inherited_and_leaves_ranks_open()
    {
        const string open = "recipe: base\nmodel: M\nweights: w\ncalibrate: { data: c.txt }\nbudget: 600 KB\nsteps:\n  - match: a\n    decompose: { orientation: whitened }\n";
        var recipe = Bind("recipe: top\nextends: base\nallocate: measured\n", out var problems, open);
        problems.ShouldBeEmpty();
        (recipe!.Budget!.Amount, recipe.Allocate).ShouldBe((600 * 1024, AllocationMethod.Measured));
    }

    [Theory]
    [InlineData("calibrate: { data: c.txt }", "budget: 60%", "r.yaml(5,9,5,12): error PDSL1007: the budget '60%' has nothing left to choose, because every step names its own numbers; leave 'rank' out of a 'decompose' step or 'bits' out of a 'quantize' step, or drop the budget")]
    [InlineData("calibrate: { data: c.txt }", "allocate: uniform", "r.yaml(5,11,5,18): error PDSL1005: 'allocate' says how a budget is spent and the recipe has none; add 'budget' or drop it")]
    [InlineData("calibrate: { data: c.txt }\nsteps:\n  - match: a\n    keep:", "allocate: measured\nbudget: 1 MB\nsteps:\n  - match: a\n    decompose:", "r.yaml(5,11,5,19): error PDSL1005: 'allocate: measured' learns from calibration data and the recipe names none; add 'calibrate' with the data to use")]
    public void A_budget_that_cannot_be_spent_is_an_error(string right, string wrong, string expected)
    {
        Bind(Base.Replace("keep:", "quantize: { bits: 4 }").Replace(right.Replace("keep:", "quantize: { bits: 4 }"), wrong), out var problems);
        problems.ShouldHaveSingleItem().ToString().ShouldBe(expected);
    }

    /// <summary>In a recipe alone, in one that others start from, and in one that starts from another.</summary>
    [Theory]
    [InlineData("quantize: { bits: 4 }", "")]
    [InlineData("decompose: { rank: 4 }", "")]
    [InlineData("bitStack: { scaleWeight: false, blocks: 1 }", "")]
    [InlineData("quantize:\nbudget: 60%\nallocate: uniform", "")]
    [InlineData("quantize:\nbudget: 60%\nallocate: farms", "")]
    [InlineData("quantize:\nevaluate: { data: t.txt }", "")]
    [InlineData("lora:\ntrain: { data: t.txt }", "")]
    [InlineData("keep:", "recipe: top\nextends: base\nsteps:\n  - match: b\n    quantize:\n")]
    [InlineData("keep:", "recipe: top\nextends: base\ncalibrate: { data: own.txt }\nsteps:\n  - match: b\n    gptq:\n")]
    public void Calibration_data_that_nothing_learns_from_is_a_warning(string step, string heir)
    {
        foreach (string calibrate in new[] { "calibrate: { data: c.txt }", "calibrate:\n  data: c.txt" })
        {
            Bind(Base.Replace("calibrate: { data: c.txt }", calibrate).Replace("keep:", step), out var problems, heir.Length > 0 ? [heir] : []);
            problems.ShouldHaveSingleItem().ToString().ShouldBe("r.yaml(5,1,5,10): warning PDSL1020: 'calibrate' has no effect: no step of the recipe learns from data, and no budget is shared out by it; drop it, or give layers a step that does, such as 'gptq'");
        }
    }

    [Theory]
    [InlineData("gptq:", "")]
    [InlineData("decompose: { rank: 4, orientation: context }", "")]
    [InlineData("flexRound:", "")]
    [InlineData("bitStack: { scaleWeight: false }", "")]
    [InlineData("quantize:\nbudget: 60%", "")]
    [InlineData("quantize:\nbudget: 60%\nallocate: measured", "")]
    [InlineData("keep:", "recipe: top\nextends: base\nsteps:\n  - match: b\n    gptq:\n")]
    [InlineData("quantize:", "recipe: top\nextends: base\nbudget: 60%\n")]
    [InlineData("keep:", "recipe: top\nextends: base\nsteps:\n  - match: b\n    gqtp:\n")]
    public void Calibration_data_that_something_learns_from_or_may_is_right(string step, string heir)
    {
        Bind(Base.Replace("keep:", step), out var problems, heir.Length > 0 ? [heir] : []);
        problems.ShouldBeEmpty();
    }

    [Fact]
    public void Calibration_of_a_recipe_that_starts_from_another_is_looked_at_with_it()
    {
        const string top = "recipe: top\nextends: base\ncalibrate: { data: own.txt }\n";
        Bind(top, out var problems, Base.Replace("keep:", "gptq:"));
        problems.ShouldBeEmpty();
        Bind(top, out problems, Base);
        problems.ShouldHaveSingleItem().Span.Line.ShouldBe(3);
    }

    [Fact]
    public void A_stack_whose_blocks_are_ordered_by_data_needs_some()
    {
        Bind(Base.Replace("calibrate: { data: c.txt }\n", "").Replace("keep:", "bitStack: { scaleWeight: false }"), out var problems);
        problems.ShouldHaveSingleItem().ToString().ShouldStartWith("r.yaml(7,5,7,13): error PDSL1005: 'bitStack' learns from calibration data");
    }

    private static Recipe? Bind(string text, out List<RecipeDiagnostic> problems, params string[] others)
    {
        var parsed = RecipeParserTests.Read(text);
        parsed.Diagnostics.ShouldBeEmpty();
        var known = others.Append(text).Select(RecipeParserTests.Read).ToDictionary(recipe => recipe.Draft.Name!);
        var found = new List<RecipeDiagnostic>();
        problems = found;
        return new RecipeBinder(known, allowOutsidePaths: false).Bind(parsed, found.Add);
    }
}
