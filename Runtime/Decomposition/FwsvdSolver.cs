using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>Fisher-weighted decomposition (FWSVD, arXiv:2207.00112, section 4); plain SVD, with a note, where no gradient reaches the layer.</summary>
/// <remarks>Facts: those of <see cref="DecomposeSolver"/>, the loss being Σ a_i² c_j² (W − W')_ij² with the floored weights a and c of the axis.</remarks>
public sealed class FwsvdSolver : DecomposingSolver<Fwsvd>
{
    /// <inheritdoc/>
    public override int Version => 1;

    /// <inheritdoc/>
    public override bool RunsOnDevice => true;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, Fwsvd step)
    {
        using var scope = NewDisposeScope();
        var layer = new LowRankWeight(problem);
        var facts = new Dictionary<string, double>();
        var weight = layer.Exact();
        var fisher = problem.Statistics.Fisher ?? throw new InvalidOperationException("no Fisher information was collected for the layer");
        MatrixChecks.RequireFinite(fisher.Rows, "the calibration statistic");
        MatrixChecks.RequireFinite(fisher.Columns, "the calibration statistic");
        bool dead = fisher.Columns.abs().max().item<double>() == 0;
        if (dead)
        {
            layer.Note("no gradient reaches the layer, so the weight is decomposed by itself");
        }

        var rows = dead ? ones_like(fisher.Rows) : FisherWeighting.Weights(fisher.Rows, step.Floor);
        var columns = dead ? ones_like(fisher.Columns) : FisherWeighting.Weights(fisher.Columns, step.Floor);
        var weighting = FisherWeighting.Of(weight, rows, columns, step.Axis, step.Rank, step.SigmaFuse, step.Accuracy, problem.Seed);
        int rank = layer.Keep(weighting.Projection, step, facts);
        var factors = new FactorPair(weighting.Factors.B.narrow(1, 0, rank), weighting.Factors.A.narrow(0, 0, rank));
        return layer.Solution(layer.Store(factors), null, weighting.Spectrum, facts);
    }
}
