using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>Activation-aware decomposition (ASVD, arXiv:2312.05821, official code): the projection in the metric diag(a²).</summary>
/// <remarks>Facts: those of <see cref="DecomposeSolver"/>. Unlike the official code's randomised SVD, the result is the optimum to the step's accuracy.</remarks>
public sealed class AsvdSolver : DecomposingSolver<Asvd>
{
    /// <summary>The official code's, so that silent channels keep some weight.</summary>
    private const double ScaleFloor = 1e-6;

    /// <inheritdoc/>
    public override int Version => 1;

    /// <inheritdoc/>
    public override bool RunsOnDevice => true;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, Asvd step)
    {
        using var scope = NewDisposeScope();
        var layer = new LowRankWeight(problem);
        var facts = new Dictionary<string, double>();
        var weight = layer.Exact();
        var statistic = problem.Statistics.InputMagnitudes ?? throw new InvalidOperationException("no input magnitudes were collected for the layer");
        var magnitudes = step.Scaling == ActivationScaling.AbsMax ? statistic.Largest : statistic.Means;
        MatrixChecks.RequireFinite(magnitudes, "the calibration statistic");
        var projection = layer.Project(weight, weight * ActivationScale.Diagonal(magnitudes, step.Alpha, ScaleFloor), step);
        int rank = layer.Keep(projection, step, facts);
        return layer.Solution(layer.Store(projection.Factors(Slice.Top, rank, step.SigmaFuse)), null, projection.Spectrum, facts);
    }
}
