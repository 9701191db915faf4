namespace PipelineDsl.Generators.Tests;

/// <summary>What is marked <see cref="ObsoleteAttribute"/> in the language the compiler itself tells where an attribute uses it, with the same words as <c>PDSL1021</c> in a recipe.</summary>
public sealed class DeprecatedAttributeTests
{
    [Theory]
    [InlineData("Rounding(Bits = 4)", "")]
    [InlineData("Rounding(Bits = 4, Width = 3)", "M.cs(4,23) CS0618: 'DeprecatedAttributeTests.Rounding.Width' is obsolete: 'write 'bits''")]
    [InlineData("FormerRounding", "M.cs(4,4) CS0618: 'DeprecatedAttributeTests.FormerRounding' is obsolete: 'use 'rounding''")]
    [InlineData("FormerRounding(Bits = 4)", "M.cs(4,4) CS0618: 'DeprecatedAttributeTests.FormerRounding' is obsolete: 'use 'rounding''")]
    public void A_deprecated_step_or_setting_is_the_compilers_warning_at_its_place(string attribute, string expected)
    {
        string source = $$"""
            using TorchSharp.Modules; using static PipelineDsl.Generators.Tests.DeprecatedAttributeTests; using static TorchSharp.torch; using static TorchSharp.torch.nn;
            public sealed class M() : Module<Tensor, Tensor>("M")
            {
              [{{attribute}}] private readonly Linear layer = Linear(3, 3);
              public override Tensor forward(Tensor x) => layer.call(x);
            }
            """;
        string.Join("\n", new GeneratorRun().Source("M.cs", source).Run().CompilerProblems).ShouldBe(expected);
    }

    /// <summary>A step of today, one setting of which is of yesterday.</summary>
    public class Rounding : Step
    {
        /// <summary>Bits a value.</summary>
        public int Bits { get; set; }

        /// <summary>The former name of <see cref="Bits"/>.</summary>
        [Obsolete("write 'bits'")]
        public int Width { get; set; }

        /// <inheritdoc/>
        public override Stage Stage => Stage.Quantize;

        /// <inheritdoc/>
        public override IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors) => factors;
    }

    /// <summary>A step of yesterday.</summary>
    [Obsolete("use 'rounding'")]
    public sealed class FormerRounding : Rounding;
}
