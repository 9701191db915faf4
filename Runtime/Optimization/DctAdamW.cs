using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Optimization;

/// <summary>AdamW in a few directions of a fixed cosine basis, chosen anew from the gradient (DCT-AdamW, arXiv:2505.17967): moments of a matrix [m, n] take 2 r max(m, n) numbers instead of 2 m n.</summary>
/// <param name="LearningRate">The rate that a schedule multiplies.</param>
/// <remarks>Tensors that are no matrices, and those with a side of <see cref="LargestSide"/> or more, are moved by AdamW. A matrix wider than tall is worked on transposed.</remarks>
public sealed record DctAdamW(double LearningRate) : Adam(LearningRate)
{
    /// <summary>r, the directions that are kept; at most the smaller side.</summary>
    public int Rank { get; init; } = 64;

    /// <summary>Steps between two choices of directions.</summary>
    public int Gap { get; init; } = 1;

    /// <summary>Whether moments follow their directions when others are chosen; new ones start at zero.</summary>
    public bool Rotate { get; init; } = true;

    /// <summary>Directions are chosen by the largest sums of |score|^this: 1, or 2, which loses least of the gradient.</summary>
    public int Norm { get; init; } = 2;

    /// <summary>The basis.</summary>
    public CosineBasis Basis { get; init; }

    /// <summary>Whether what a projection loses is added to the next gradient.</summary>
    public ErrorFeedback ErrorFeedback { get; init; }

    /// <summary>The side from which on a matrix is moved by AdamW.</summary>
    public int LargestSide { get; init; } = 32000;

    internal override void Apply(Tensor value, Tensor gradient, UpdateMemory memory, double rate)
    {
        if (value.dim() != 2 || value.shape.Max() >= LargestSide)
        {
            Decay(value, rate);
            Advance(value, gradient, memory, rate);
            return;
        }

        bool tall = value.shape[0] >= value.shape[1];
        var work = tall ? gradient : gradient.mT;
        if (ErrorFeedback != ErrorFeedback.None && memory.Steps > 1)
        {
            work = work + Error(memory, value, tall);
        }

        Decay(value, rate);
        long size = work.shape[1];
        int rank = (int)Math.Min(Rank, size);
        var cosines = DctBasis.Of(size, work.dtype, work.device);
        var basis = Basis == CosineBasis.Dct3 ? cosines : cosines.mT;
        bool selects = memory.Steps == 1 || memory.Steps % Gap == 0;
        Tensor projected;
        if (selects)
        {
            var scores = work.mm(basis);
            var chosen = Choose(scores, rank);
            if (memory.Steps > 1 && Rotate)
            {
                Carry(memory, chosen);
            }

            memory.Set("indices", chosen);
            projected = scores.index_select(1, memory.Tensors["indices"].to(int64));
        }
        else
        {
            projected = work.mm(basis.index_select(1, memory.Tensors["indices"].to(int64)));
        }

        var directions = basis.index_select(1, memory.Tensors["indices"].to(int64));
        if (ErrorFeedback != ErrorFeedback.None)
        {
            KeepError(memory, work - projected.mm(directions.mT), tall);
        }

        var (mean, divisor) = Moments(projected, memory);
        var moved = (mean / divisor).mm(directions.mT);
        value.add_(tall ? moved : moved.mT, alpha: -rate * Correction(memory.Steps));
    }

    /// <summary>Ascending indices of the columns with the largest scores, the earlier one in a tie [r] int32.</summary>
    private Tensor Choose(Tensor scores, int rank)
    {
        var wide = scores.dtype == float64 ? scores : scores.to(float32);
        var sums = (Norm == 1 ? wide.abs() : wide.square()).sum([0]);
        return sums.sort(descending: true, stable: true).Indices.narrow(0, 0, rank).sort().Values.to(int32);
    }

    /// <summary>Moves the columns of both moments to where their directions are now; those of new directions are zero.</summary>
    private static void Carry(UpdateMemory memory, Tensor chosen)
    {
        var before = memory.Tensors["indices"];
        var same = before.unsqueeze(1).eq(chosen.unsqueeze(0));
        foreach (string name in new[] { "mean", "square" })
        {
            memory.Set(name, memory.Tensors[name].mm(same.to(memory.Tensors[name].dtype)));
        }
    }

    /// <summary>What the last projection lost, in the orientation that is worked in.</summary>
    private Tensor Error(UpdateMemory memory, Tensor value, bool tall)
    {
        var kept = memory.Tensors["error"];
        var error = ErrorFeedback == ErrorFeedback.Full ? kept : (kept.to(value.dtype) * memory.Tensors["errorSteps"]) + memory.Tensors["errorLows"];
        return tall ? error : error.mT;
    }

    /// <summary>Keeps it in the matrix's own orientation, in 8 bits row by row on request: code = ⌊(x − low) / u + ½⌋, u = (high − low) / 255.</summary>
    private void KeepError(UpdateMemory memory, Tensor lost, bool tall)
    {
        var error = (tall ? lost : lost.mT).contiguous();
        if (ErrorFeedback == ErrorFeedback.Full)
        {
            memory.Set("error", error.clone());
            return;
        }

        var low = error.amin([1], keepdim: true);
        var steps = (error.amax([1], keepdim: true) - low) / 255;
        var safe = where(steps > 0, steps, ones_like(steps));
        memory.Set("error", ((error - low) / safe + 0.5).floor().clamp(0, 255).to(uint8));
        memory.Set("errorLows", low.clone());
        memory.Set("errorSteps", steps.clone());
    }
}

/// <summary>Which way the cosine matrix C is used.</summary>
public enum CosineBasis
{
    /// <summary>Rows of C: scores are the DCT-II of the gradient's rows.</summary>
    Dct2,

    /// <summary>Columns of C.</summary>
    Dct3,
}
