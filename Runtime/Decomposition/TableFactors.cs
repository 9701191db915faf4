using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>Narrows a table to the directions that its lookups use, around their mean or around zero.</summary>
internal static class TableFactors
{
    /// <summary>Eigenvalues above this share of the largest count for the numerical rank.</summary>
    private const double RankTolerance = 1e-10;

    /// <summary>What calibration counted.</summary>
    public static Tensor AccessCounts(LayerProblem problem) => problem.Statistics.AccessCounts ?? throw new InvalidOperationException("no access counts were collected for the table");

    /// <summary>E' Uᵀ, and 1 μᵀ beside it when the step keeps the mean.</summary>
    /// <param name="problem">The table.</param>
    /// <param name="step">Rank and orientation.</param>
    /// <param name="counts">How much each row counts [V] float64.</param>
    public static LayerSolution Solve(LayerProblem problem, Decompose step, Tensor counts)
    {
        using var scope = NewDisposeScope();
        var layer = new LowRankWeight(problem);
        if (counts.sum().item<double>() == 0)
        {
            layer.Note("calibration looks up no row, so all rows count the same");
            counts = ones_like(counts);
        }

        bool centred = step.KeepsMean(problem.Shape);
        var table = layer.Exact();
        var lookups = MimickedTable.Lookups(table, counts);
        if (!centred)
        {
            lookups = new(zeros_like(lookups.Mean), lookups.Matrix + lookups.Mean.outer(lookups.Mean));
        }

        var whole = MimickedTable.Of(table, lookups, 0).Eigenvalues;
        int rank = layer.Clip(whole.Count(value => value > RankTolerance * whole[0]), step.Rank);
        var narrow = MimickedTable.Of(table, lookups, rank);
        double loss = narrow.Eigenvalues.Skip(rank).Reverse().Sum(value => Math.Max(0, value));
        double energy = narrow.Eigenvalues.Take(rank).Reverse().Sum();
        var facts = new Dictionary<string, double>
        {
            ["rank"] = rank,
            ["predictedLoss"] = loss,
            ["energyKept"] = LowRankWeight.Share(energy, energy + loss),
        };
        Expression weight = layer.Store(new FactorPair(narrow.Rows, narrow.Basis.mT.contiguous()));
        weight = centred ? new Shifted(weight, narrow.Mean.to(layer.Dtype, copy: true)) : weight;
        return layer.Solution(weight, null, [.. narrow.Eigenvalues.Select(value => Math.Sqrt(Math.Max(0, value)))], facts);
    }
}
