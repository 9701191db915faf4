using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Finds SVDQuant's smoothing vector, then the low-rank branch (arXiv:2411.05007, with the grid of the published calibration).</summary>
/// <param name="weight">W [m, n] float64.</param>
/// <param name="inputs">X [tokens, n] float64.</param>
/// <param name="largest">The largest magnitude of each input [n] float64, over at least the tokens of X.</param>
/// <param name="grids">How weights and inputs are rounded.</param>
/// <param name="step">Everything else.</param>
/// <param name="seed">The seed of iterated decompositions.</param>
internal sealed class SvdQuantSearch(Tensor weight, Tensor inputs, Tensor largest, FourBitGrids grids, SvdQuant step, long seed)
{
    private readonly Tensor outputs = inputs.mm(weight.mT);
    private readonly Tensor heights = weight.abs().amax([0]);

    /// <summary>‖Y‖² over the sample.</summary>
    public double Energy => outputs.square().sum().item<double>();

    /// <summary>Searches; the result's tensors belong to the caller's dispose scope.</summary>
    public SvdQuantResult Run()
    {
        var candidates = Smoothing.Candidates(step);
        double[] errors = new double[candidates.Count];
        int best = 0;
        for (int i = 0; i < candidates.Count; i++)
        {
            using var scope = NewDisposeScope();
            var layer = Smooth(candidates[i]);
            var branch = layer.Branch(layer.Weight, step, seed);
            errors[i] = layer.Error(branch, grids.Round(layer.Weight - branch.Product));
            best = errors[i] <= errors[best] ? i : best;
        }

        var chosen = Smooth(candidates[best]);
        double smoothedError = chosen.Error(null, grids.Round(chosen.Weight));
        var (refined, trace, bestIteration) = Refine(chosen);
        return new(chosen, refined, candidates[best], errors, best, trace, bestIteration, smoothedError);
    }

    /// <summary>The layer as the exponents smooth it; in the caller's dispose scope.</summary>
    public SmoothedLayer Smooth((double Alpha, double Beta) exponents) =>
        new(weight, inputs, outputs, Smoothing.Reciprocal(Smoothing.Vector(largest, heights, exponents.Alpha, exponents.Beta), grids.RealType), grids, step.InputShift);

    /// <summary>The branch is fitted to what rounding leaves, then the rest is rounded anew: the branch also takes up errors of rounding.</summary>
    private (LowRankBranch Best, IReadOnlyList<double> Errors, int Index) Refine(SmoothedLayer layer)
    {
        using var scope = NewDisposeScope();
        var rounded = step.Compensate ? grids.Round(layer.Weight) : zeros_like(layer.Weight);
        var errors = new List<double>();
        LowRankBranch? best = null;
        int index = 0;

        // Without a branch every iteration is the first.
        for (int i = 0; i < (step.Rank == 0 ? 1 : step.Iterations); i++)
        {
            using var before = rounded;
            var branch = layer.Branch(layer.Weight - before, step, seed);
            rounded = grids.Round(layer.Weight - branch.Product);
            errors.Add(layer.Error(branch, rounded));
            if (best is null || errors[i] <= errors[index])
            {
                best?.Dispose();
                (best, index) = (branch, i);
                continue;
            }

            branch.Dispose();
            if (step.EarlyStop)
            {
                break;
            }
        }

        return (best!.MoveToOuterDisposeScope(), errors, index);
    }
}

/// <summary>What the search found.</summary>
/// <param name="Layer">The layer in the best smoothing.</param>
/// <param name="Branch">The best branch.</param>
/// <param name="Exponents">Alpha and beta of the best smoothing.</param>
/// <param name="SmoothingErrors">The squared output error of every candidate, with a branch of its own.</param>
/// <param name="BestSmoothing">The candidate's index.</param>
/// <param name="IterationErrors">The squared output error after each iteration.</param>
/// <param name="BestIteration">The iteration that the branch is from.</param>
/// <param name="SmoothedError">The squared output error of the best smoothing without a branch.</param>
internal sealed record SvdQuantResult(
    SmoothedLayer Layer,
    LowRankBranch Branch,
    (double Alpha, double Beta) Exponents,
    IReadOnlyList<double> SmoothingErrors,
    int BestSmoothing,
    IReadOnlyList<double> IterationErrors,
    int BestIteration,
    double SmoothedError)
{
    /// <summary>What is left for the grid: W diag(s) − L [m, n]; the caller owns it.</summary>
    public Tensor Residual => Layer.Weight - Branch.Product;
}
