namespace PipelineDsl.Dsl.Tests;

/// <summary>Steps as they look when names of the language are given up.</summary>
public static class DeprecatedSteps
{
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
