using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>One matrix under VQ4DiT: each run of neighbours is a mixture Σ R_i C[A_i] of its nearest codewords, R = softmax(z), until its codeword is decided (arXiv:2408.17131).</summary>
/// <remarks>
/// A run whose largest ratio passes the threshold is fixed: its logits become 10000 and 0, whose softmax is exactly 1 and 0 and has no gradient. When the fixed share passes its own threshold the rest
/// takes its largest ratio, and only the table is trained from then on. Memory in training: per candidate 4 values for each d of the matrix and about three copies of the matrix.
/// </remarks>
internal sealed class Vq4DitMatrix : ITrainableMatrix
{
    private const double DistanceFloor = 1e-5;
    private const double FixedLogit = 10_000;
    private const double FirstBest = 1000;

    private readonly Vq4Dit step;
    private readonly ScalarType tableType;
    private readonly long rows;
    private readonly Tensor isFixed;
    private Tensor? ratios;
    private Tensor? codes;
    private double lowest = FirstBest;
    private int steps;

    /// <summary>Starts from a table.</summary>
    /// <param name="weight">[m, n]; what is computed in is float64 if it is, else float32.</param>
    /// <param name="codebook">[k, d]; still the caller's.</param>
    /// <param name="tableType">What the table is rounded to; float64 for the exact method.</param>
    /// <param name="step">The settings.</param>
    public Vq4DitMatrix(Tensor weight, Tensor codebook, ScalarType tableType, Vq4Dit step)
    {
        using var scope = NewDisposeScope();
        using var gradients = no_grad();
        this.step = step;
        this.tableType = tableType;
        rows = weight.shape[0];
        var (indices, distances) = VectorQuantization.Candidates(weight, codebook, (int)Math.Min(step.CandidateCount, codebook.shape[0]));
        Candidates = indices.DetachFromDisposeScope();
        Logits = (step.Form == Vq4DitForm.Paper ? zeros_like(distances) : LogitsOf(distances)).requires_grad_(true).DetachFromDisposeScope();
        Codebook = codebook.to(distances.dtype, copy: true).requires_grad_(true).DetachFromDisposeScope();
        isFixed = zeros(indices.shape[0], dtype: @bool).DetachFromDisposeScope();
    }

    /// <summary>A [runs, candidates] int32, ascending in distance.</summary>
    public Tensor Candidates { get; }

    /// <summary>z [runs, candidates].</summary>
    public Tensor Logits { get; }

    /// <summary>C [k, d].</summary>
    public Tensor Codebook { get; }

    /// <summary>The share of runs whose codeword is decided.</summary>
    public double FixedShare { get; private set; }

    /// <summary>The step after which all codewords were decided, or null.</summary>
    public int? HardStep { get; private set; }

    /// <summary>Steps whose loss had the regulariser.</summary>
    public int RegularisedSteps { get; private set; }

    /// <summary>First logits of the published code: ratios go as the inverse distance, ln(D_n / (D_i + 1e-5)), and 0 for the furthest candidate.</summary>
    /// <param name="distances">D [runs, candidates], ascending; where the furthest is nearer than 1e-5, as for equal codewords, that stands for it.</param>
    /// <returns>In the current dispose scope.</returns>
    public static Tensor LogitsOf(Tensor distances)
    {
        var logits = (distances.narrow(1, distances.shape[1] - 1, 1).clamp_min(DistanceFloor) / (distances + DistanceFloor)).log();
        logits.narrow(1, distances.shape[1] - 1, 1).zero_();
        return logits;
    }

    /// <summary>The regulariser of a form, 0 where all ratios are 0 or 1.</summary>
    /// <param name="form">Whose.</param>
    /// <param name="ratios">R [runs, candidates].</param>
    /// <param name="free">Runs that are not fixed, which alone count for the code's form: others give 0.</param>
    public static Tensor Regulariser(Vq4DitForm form, Tensor ratios, long free) =>
        form == Vq4DitForm.Paper ? (1 - ((2 * ratios) - 1).abs()).sum() / ratios.shape[0] : (ratios * (1 - ratios)).sum() / Math.Max(1, free);

    /// <inheritdoc/>
    public Tensor Soft()
    {
        var table = Stored();
        if (codes is not null)
        {
            ratios = null;
            return VectorQuantization.Look(codes, table);
        }

        table = step.Form == Vq4DitForm.Paper ? table : table.detach();
        ratios = Logits.softmax(1);
        return Mix(ratios, table);
    }

    /// <summary>Σ R_i C[A_i] [m, n], differentiable in both.</summary>
    public Tensor Mix(Tensor shares, Tensor table)
    {
        var parts = Enumerable.Range(0, (int)Candidates.shape[1]).Select(i => shares.narrow(1, i, 1) * table.index_select(0, Candidates.select(1, i)));
        return parts.Aggregate((sum, part) => sum + part).reshape(rows, -1);
    }

    /// <summary>The regulariser of the last <see cref="Soft"/>, or null where this step has none.</summary>
    public Tensor? Penalty()
    {
        if (ratios is null)
        {
            return null;
        }

        var penalty = Regulariser(step.Form, ratios, isFixed.numel() - isFixed.sum().item<long>());
        double value = penalty.detach().to(float64).item<double>();
        if (step.Form == Vq4DitForm.Code && value <= lowest)
        {
            lowest = value;
            return null;
        }

        RegularisedSteps++;
        return penalty * step.RegulariserWeight;
    }

    /// <summary>Fixes what is decided.</summary>
    public void AfterStep()
    {
        steps++;
        if (codes is not null)
        {
            return;
        }

        using var scope = NewDisposeScope();
        var (largest, choice) = Logits.softmax(1).max(1);
        isFixed.logical_or_(largest > step.FreezeThreshold);
        var decided = arange(Logits.shape[1], dtype: int64).eq(choice.unsqueeze(1)).to(Logits.dtype) * FixedLogit;
        Logits.copy_(where(isFixed.unsqueeze(1), decided, Logits));
        FixedShare = isFixed.to(float64).mean().item<double>();
        if (FixedShare > step.FreezeShare)
        {
            codes = Codes().DetachFromDisposeScope();
            HardStep = steps;
            FixedShare = 1;
        }
    }

    /// <summary>The code of the largest ratio of every run [m, n / d] int16, of equal ones that of the nearest codeword; the current dispose scope owns it.</summary>
    public Tensor Codes()
    {
        if (codes is not null)
        {
            return codes.alias();
        }

        var choice = Logits.detach().argmax(1, keepdim: true);
        return Candidates.gather(1, choice).to(int16).reshape(rows, -1);
    }

    /// <inheritdoc/>
    public Expression Harden()
    {
        using var scope = NewDisposeScope();
        return Weights.Codebook.Pack(Codes(), Codebook.detach().to(tableType == float64 ? float32 : tableType, copy: true).unsqueeze(0));
    }

    /// <summary>Releases everything but what is trained, which belongs to the weight.</summary>
    public void Dispose()
    {
        Candidates.Dispose();
        isFixed.Dispose();
        codes?.Dispose();
    }

    /// <summary>The table as it is stored, its rounding passed straight through.</summary>
    private Tensor Stored() => tableType == float64 ? Codebook : Codebook + (Codebook.to(tableType).to(Codebook.dtype) - Codebook).detach();
}
