using PipelineDsl.Runtime.Engine;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>Carries out a step that cuts a weight at a rank: one decomposition tells what every rank costs.</summary>
/// <typeparam name="TStep">The step.</typeparam>
public abstract class DecomposingSolver<TStep> : LayerSolver<TStep>
    where TStep : Decompose
{
    /// <inheritdoc/>
    /// <remarks>
    /// Σ_{i&gt;r} S_i² / Σ S_i², the share of the energy in the step's own metric that rank r gives up: exact, from the decomposition at the last rank. In the whitened and
    /// output metrics this is the squared error of the outputs on the calibration data over their energy.
    /// </remarks>
    public override CandidateErrors Compare(LayerProblem problem, IReadOnlyList<Step> candidates)
    {
        var solution = Solve(problem, candidates[^1]);
        solution.Bias?.Dispose();
        if (solution.Spectrum.Count == 0 || !solution.Facts.TryGetValue("predictedLoss", out double tail))
        {
            solution.Weight.Dispose();
            throw new InvalidOperationException($"'{StepCatalog.Of(candidates[^1]).Name}' predicts no loss; say 'allocate: measured', or name its rank");
        }

        int known = Math.Min(solution.Spectrum.Count, (int)solution.Facts["rank"]);
        double[] given = new double[known + 1];
        given[known] = tail;
        for (int rank = known - 1; rank >= 0; rank--)
        {
            given[rank] = given[rank + 1] + (solution.Spectrum[rank] * solution.Spectrum[rank]);
        }

        return new([.. candidates.Select(step => given[0] > 0 ? given[Math.Min(((Decompose)step).Rank, known)] / given[0] : 0)], solution.Weight);
    }
}
