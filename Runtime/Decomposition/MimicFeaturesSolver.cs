using PipelineDsl.Runtime.Engine;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>Atomic feature mimicking (AFM, arXiv:2405.18146): a linear layer through the covariance of its outputs, a table through that of its lookups.</summary>
/// <remarks>
/// Facts as of <see cref="DecomposeSolver"/>. The paper's two further moves change more than one layer's weight and are maths to call:
/// the relu between the factors is <see cref="MimickedLayer.Forward"/>, the fusion with the next layer <see cref="MimickedTable.FuseNext"/>.
/// </remarks>
public sealed class MimicFeaturesSolver : DecomposingSolver<MimicFeatures>
{
    /// <inheritdoc/>
    public override int Version => 2;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, MimicFeatures step)
    {
        if (problem.Shape.Kind != LayerKinds.Embedding)
        {
            return MatrixFactors.Solve(problem, step);
        }

        using var scope = NewDisposeScope();
        var counts = step.Weighting == RowWeighting.Uniform ? ones(problem.Shape.Rows, dtype: float64) : TableFactors.AccessCounts(problem).clone();
        if (step.PaddingIndex >= 0)
        {
            counts[step.PaddingIndex] = 0;
        }

        return TableFactors.Solve(problem, step, counts);
    }
}
