using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>Context-oriented decomposition (CorDA, arXiv:2406.05223): leading factors instead of the weight, or an adapter beside the residual.</summary>
/// <remarks>
/// Facts: <c>rank</c>; <c>predictedLoss</c>, the squared error in the damped covariance (0 for an adapter, which changes nothing);
/// <c>energyKept</c>, the share of the spectrum's energy in the factors; <c>certifiedExcess</c> (as <see cref="DecomposeSolver"/> has it); <c>damping</c>; <c>inverseError</c>; <c>relativeError</c> of the stored weight.
/// </remarks>
public sealed class CordaSolver : DecomposingSolver<Corda>
{
    /// <inheritdoc/>
    public override int Version => 2;

    /// <inheritdoc/>
    public override bool RunsOnDevice => true;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, Corda step)
    {
        using var scope = NewDisposeScope();
        var layer = new LowRankWeight(problem);
        var facts = new Dictionary<string, double>();
        var weight = layer.Exact();
        var oriented = Orientations.Context(weight, problem.Statistics, step, facts, layer.Note);

        bool adapter = step.Use == CordaUse.Adapter;
        var slice = adapter && step.Mode == CordaMode.KnowledgePreserved ? Slice.Bottom : Slice.Top;

        // The smallest directions drown in the squared condition number of a Gram matrix.
        var projection = slice == Slice.Bottom ? Projection.Of(weight, oriented, SvdRoute.Exact) : layer.Project(weight, oriented, step);
        int rank = slice == Slice.Bottom ? step.Rank : layer.Keep(projection, step, facts);
        if (slice == Slice.Bottom && projection.SilentDirections(rank) is > 0 and var silent)
        {
            layer.Note($"{silent} of the {rank} least important directions carry nothing; their factors start at zero");
        }

        double energy = projection.Energy(slice, rank);
        double loss = projection.Loss(slice, rank);
        facts["rank"] = rank;
        facts["predictedLoss"] = adapter ? 0 : loss;
        facts["energyKept"] = LowRankWeight.Share(energy, energy + loss);

        Expression result = adapter
            ? Adapter(layer, weight, projection, slice, rank, step)
            : layer.Store(projection.Factors(Slice.Top, rank, step.SigmaFuse));
        return layer.Solution(result, null, projection.Spectrum, facts);
    }

    /// <summary>Residual + (alpha / r) B A. The residual is taken from the factors as stored, so the sum is the weight up to one rounding.</summary>
    private static Sum Adapter(LowRankWeight layer, Tensor weight, Projection projection, Slice slice, int rank, Corda step)
    {
        double scaling = step.LoraAlpha > 0 ? step.LoraAlpha / rank : 1;
        Expression factors = layer.Store(projection.Factors(slice, rank, step.SigmaFuse, scaling));
        if (scaling != 1)
        {
            factors = new Scaled(null, factors, null, scaling);
        }

        return new Sum(new Dense((weight - factors.Materialize()).to(layer.Dtype, copy: true)), factors);
    }
}
