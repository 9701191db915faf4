using PipelineDsl.Runtime.Optimization;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Weights;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>A weight whose dense matrices all learn their codes and exponents.</summary>
internal sealed class NupesWeight : MatrixwiseWeight<NupesMatrix>
{
    private const double FirstSharpness = 1;
    private const double LastSharpness = 20;

    private readonly bool soft;

    /// <summary>Begins with the grids that are made of a weight's matrices.</summary>
    /// <param name="weight">The weight; still the caller's.</param>
    /// <param name="step">Learning rates and rounding.</param>
    /// <param name="begin">Makes the start of a matrix.</param>
    public NupesWeight(Expression weight, Nupes step, Func<Dense, NupesMatrix> begin)
        : base(weight, begin)
    {
        soft = step.SoftRounding;
        Groups = [new(new Adam(step.LearningRate), [.. Matrices.Select(matrix => matrix.Latent)]), new(new Adam(step.ExponentLearningRate), [.. Matrices.Select(matrix => matrix.Exponent)])];
        Sharpen(FirstSharpness);
    }

    /// <inheritdoc/>
    public override IReadOnlyList<TrainableGroup> Groups { get; }

    /// <inheritdoc/>
    public override void AfterStep(int step, int steps)
    {
        foreach (var matrix in Matrices)
        {
            matrix.Project();
        }

        Sharpen(FirstSharpness + ((LastSharpness - FirstSharpness) * step / steps));
    }

    private void Sharpen(double sharpness)
    {
        foreach (var matrix in Matrices)
        {
            matrix.Sharpness = soft ? sharpness : null;
        }
    }
}
