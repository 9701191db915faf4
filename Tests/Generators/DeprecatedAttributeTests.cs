namespace PipelineDsl.Generators.Tests;

/// <summary>What is marked <see cref="ObsoleteAttribute"/> in the language the compiler itself tells where an attribute uses it, with the same words as <c>PDSL1021</c> in a recipe.</summary>
public sealed class DeprecatedAttributeTests
{
    [Theory]
    [InlineData("Rounding(Bits = 4)", "")]
    [InlineData("Rounding(Bits = 4, Width = 3)", "M.cs(4,23) CS0618: 'DeprecatedSteps.Rounding.Width' is obsolete: 'write 'bits''")]
    [InlineData("FormerRounding", "M.cs(4,4) CS0618: 'DeprecatedSteps.FormerRounding' is obsolete: 'use 'rounding''")]
    [InlineData("FormerRounding(Bits = 4)", "M.cs(4,4) CS0618: 'DeprecatedSteps.FormerRounding' is obsolete: 'use 'rounding''")]
    public void A_deprecated_step_or_setting_is_the_compilers_warning_at_its_place(string attribute, string expected)
    {
        string source = $$"""
            using TorchSharp.Modules; using static PipelineDsl.Dsl.Tests.DeprecatedSteps; using static TorchSharp.torch; using static TorchSharp.torch.nn;
            public sealed class M() : Module<Tensor, Tensor>("M")
            {
              [{{attribute}}] private readonly Linear layer = Linear(3, 3);
              public override Tensor forward(Tensor x) => layer.call(x);
            }
            """;
        string.Join("\n", new GeneratorRun().Source("M.cs", source).Run().CompilerProblems).ShouldBe(expected);
    }
}
