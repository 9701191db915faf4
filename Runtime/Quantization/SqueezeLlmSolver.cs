using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>A table of few values a row, and beside it the weights that it would serve badly (SqueezeLLM, arXiv:2306.07629).</summary>
/// <remarks>
/// Facts: <c>weightedError</c>, Σ F (W − W')² / Σ F W² with the squared gradients F of the calibration data (all equal where there are none); <c>roundToNearestError</c>, the same for
/// rounding to a uniform grid of as many bits a row; <c>bitsPerWeight</c> with tables, kept weights and their places; <c>keptWeights</c> and, of them, <c>sensitiveWeights</c>;
/// <c>outlierThreshold</c> of a weight that is one matrix; <c>relativeError</c>.
/// </remarks>
public sealed class SqueezeLlmSolver : LayerSolver<SqueezeLlm>
{
    /// <inheritdoc/>
    public override int Version => 1;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, SqueezeLlm step)
    {
        using var scope = NewDisposeScope();
        var notes = new List<string>();
        var facts = new Dictionary<string, double> { ["keptWeights"] = 0, ["sensitiveWeights"] = 0 };
        var fisher = step.Weighted ? Fisher(problem, notes) : null;
        var whole = LayerFisher.Terms(problem.Weight);
        var weight = problem.Weight.RewriteDense(dense => Split(dense, whole.Contains(dense) ? fisher : null, step, facts, notes));
        if (whole.Count == 0 && fisher is not null)
        {
            notes.Add("the factors of a decomposed weight have no gradients of their own, so all their entries count the same");
        }

        var exact = problem.Weight.Materialize();
        var approximation = weight.Materialize();
        var rounded = problem.Weight.RewriteDense(dense => RoundToNearest.StoreRows(dense.Matrix, step.Bits));
        facts["relativeError"] = MatrixChecks.RelativeError(exact, approximation);
        facts["weightedError"] = MatrixChecks.WeightedError(exact, approximation, fisher);
        facts["roundToNearestError"] = MatrixChecks.WeightedError(exact, rounded.Materialize(), fisher);
        facts["bitsPerWeight"] = 8.0 * weight.Bytes / (weight.Rows * weight.Columns);
        rounded.Dispose();
        return new(weight, null, facts, [], [.. notes.Distinct()]);
    }

    /// <summary>What gradients say about each weight; null where none reached the layer.</summary>
    private static Tensor? Fisher(LayerProblem problem, List<string> notes)
    {
        var fisher = LayerFisher.Of(problem);
        if (fisher is null)
        {
            notes.Add("no gradient reaches the layer, so all its weights count the same");
        }

        return fisher;
    }

    private static Expression Split(Dense dense, Tensor? fisher, SqueezeLlm step, Dictionary<string, double> facts, List<string> notes)
    {
        using var scope = NewDisposeScope();
        var weight = dense.Materialize();
        MatrixChecks.RequireFinite(weight, "the weight");
        var kept = Keep(weight, fisher, step);
        long count = kept.Mask.sum().item<long>();
        facts["keptWeights"] += count;
        facts["sensitiveWeights"] += kept.Sensitive;
        if (count > weight.numel() / 2)
        {
            notes.Add("most weights are kept as they are, because they lie so close together that most count as outliers; use 'sparseFraction' instead of 'outlierRange'");
        }

        if (double.IsFinite(kept.Threshold))
        {
            facts["outlierThreshold"] = kept.Threshold;
        }

        var rest = weight.masked_fill(kept.Mask, 0);
        var counted = step.Parity == Parity.Official ? rest != 0 : ~kept.Mask;
        var weights = fisher is null ? counted : fisher * counted;
        var tables = StoredTables.Of(RowTables.Fit(rest, weights, 1 << step.Bits, step), step.TableType, notes);
        var codes = RowTables.Assign(rest, tables);
        var codebook = Codebook.Pack(codes, tables.unsqueeze(-1).contiguous());
        return count == 0 ? codebook : new Sum(codebook, Rest(weight, kept.Mask, codebook, step));
    }

    private static KeptWeights Keep(Tensor weight, Tensor? fisher, SqueezeLlm step)
    {
        long sensitive = SqueezeLlm.CountOf(step.SensitiveFraction, weight.numel());
        return step.OutlierRange > 0
            ? KeptWeights.BeyondRange(weight, fisher, sensitive, step.OutlierRange)
            : KeptWeights.OfCount(weight, fisher, sensitive, SqueezeLlm.CountOf(step.SparseFraction, weight.numel()));
    }

    /// <summary>What is missing at the kept places, where the codebook has the table's value nearest to 0.</summary>
    private static Sparse Rest(Tensor weight, Tensor mask, Codebook codebook, SqueezeLlm step)
    {
        using var scope = NewDisposeScope();
        var rest = Sparse.Of(weight - codebook.Materialize(), mask, Dtypes.Of(step.SparseType));
        return rest.Values.isfinite().all().item<bool>() ? rest
            : throw new InvalidOperationException($"a weight of {weight.abs().max().to(float64).item<double>():g3} that is kept as it is does not fit float16; use 'sparseType: float32'");
    }
}
