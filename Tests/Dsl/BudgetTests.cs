using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;

namespace PipelineDsl.Dsl.Tests;

public sealed class BudgetTests
{
    private static readonly SourceSpan Nowhere = SourceSpan.StartOf("r.yaml");

    [Theory]
    [InlineData("600 KB", 600 * 1024, BudgetUnit.Bytes)]
    [InlineData("600KB", 600 * 1024, BudgetUnit.Bytes)]
    [InlineData("1.5 MB", 1.5 * 1024 * 1024, BudgetUnit.Bytes)]
    [InlineData("2 GB", 2.0 * 1024 * 1024 * 1024, BudgetUnit.Bytes)]
    [InlineData("12345 B", 12345, BudgetUnit.Bytes)]
    [InlineData("60%", 0.6, BudgetUnit.Share)]
    [InlineData("2.5 bpw", 2.5, BudgetUnit.BitsPerWeight)]
    public void A_budget_is_a_size_a_share_or_bits_a_weight(string text, double amount, BudgetUnit unit)
    {
        var budget = Budget.Parse(text, Nowhere, out _).ShouldNotBeNull();
        budget.Amount.ShouldBe(amount, 1e-9);
        (budget.Unit, budget.Text).ShouldBe((unit, text));
    }

    [Theory]
    [InlineData("")]
    [InlineData("600")]
    [InlineData("KB")]
    [InlineData("-3 KB")]
    [InlineData("0%")]
    [InlineData("120%")]
    [InlineData("1e99 GB")]
    [InlineData("600 kb")]
    [InlineData("1,5 MB")]
    [InlineData("65 bpw")]
    public void Anything_else_is_refused_with_examples(string text)
    {
        Budget.Parse(text, Nowhere, out string problem).ShouldBeNull();
        problem.ShouldBe($"'budget' is '{text}'; write {Budget.Forms}");
    }

    [Fact]
    public void A_share_and_bits_count_the_layers_and_a_size_counts_everything()
    {
        new Budget(0.5, BudgetUnit.Share, "50%", Nowhere).TotalBytes(1000, 250, 70).ShouldBe(570);
        new Budget(2.5, BudgetUnit.BitsPerWeight, "2.5 bpw", Nowhere).TotalBytes(1000, 250, 70).ShouldBe(78 + 70);
        new Budget(600, BudgetUnit.Bytes, "600 B", Nowhere).TotalBytes(1000, 250, 70).ShouldBe(600);
    }

    [Fact]
    public void A_bad_budget_is_an_error_at_its_place()
    {
        var parsed = RecipeParserTests.Read("recipe: a\nextends: b\nbudget: 600 kilobytes\nallocate: measuerd\n");
        parsed.Diagnostics.Select(problem => (problem.Id, problem.Span.Line, problem.Span.Column)).ShouldBe([(DiagnosticIds.InvalidValue, 3, 9), (DiagnosticIds.InvalidValue, 4, 11)]);
        parsed.Diagnostics[1].Message.ShouldContain("did you mean 'measured'?");
    }

    [Fact]
    public void The_ranks_to_choose_from_rise_to_the_last_that_saves()
    {
        var shape = new LayerShape(LayerKinds.Linear, 64, 64);
        Ranks(shape).ShouldBe(Enumerable.Range(1, 31));
        Ranks(new(LayerKinds.Linear, 1, 8)).ShouldBeEmpty();
        new Decompose { Rank = 3 }.Candidates(shape).ShouldBeEmpty();

        static IEnumerable<int> Ranks(LayerShape shape) => new Decompose().Candidates(shape).Select(step => ((Decompose)step).Rank);
    }
}
