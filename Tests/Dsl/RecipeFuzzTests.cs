using PipelineDsl.Fuzzing;

namespace PipelineDsl.Dsl.Tests;

public sealed class RecipeFuzzTests
{
    [Fact]
    public void Broken_recipes_are_read_without_harm_and_refused_with_a_code_and_a_place()
    {
        var result = RecipeFuzz.Run(cases: 20_000, seed: 1);
        result.Findings.ShouldBeEmpty();
        result.Refused.ShouldBeGreaterThan(10_000);
        result.Right.ShouldBeGreaterThan(0);
    }
}
