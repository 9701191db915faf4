using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>Truncation-aware whitening (SVD-LLM, arXiv:2403.07378): the projection in the metric of the inputs' second moment.</summary>
/// <remarks>
/// Facts: those of <see cref="DecomposeSolver"/>. The Gram matrix is divided by the number of vectors, which scales the spectrum only; a singular one needs no shift.
/// </remarks>
public sealed class SvdLlmSolver : DecomposingSolver<SvdLlm>
{
    /// <inheritdoc/>
    public override int Version => 1;

    /// <inheritdoc/>
    public override bool RunsOnDevice => true;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, SvdLlm step)
    {
        using var scope = NewDisposeScope();
        var layer = new LowRankWeight(problem);
        var facts = new Dictionary<string, double>();
        var weight = layer.Exact();
        var projection = layer.Project(weight, Orientations.Orient(weight, Orientation.Whitened, problem.Statistics, facts, layer.Note), step);
        int rank = layer.Keep(projection, step, facts);
        return layer.Solution(layer.Store(projection.Factors(Slice.Top, rank, step.SigmaFuse)), null, projection.Spectrum, facts);
    }
}
