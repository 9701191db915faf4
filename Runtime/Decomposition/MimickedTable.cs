using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>A table of narrow rows from which the wide ones are restored as U e' + μ (AFM, arXiv:2405.18146).</summary>
/// <param name="Rows">E' = (E − 1 μᵀ) U [V, h].</param>
/// <param name="Basis">U [d, h], the leading eigenvectors of the rows' covariance.</param>
/// <param name="Mean">μ [d].</param>
/// <param name="Eigenvalues">All d eigenvalues of the covariance, descending; those after the first h sum to the mean squared error.</param>
/// <remarks>Tensors are float64 and belong to the caller's dispose scope.</remarks>
public sealed record MimickedTable(Tensor Rows, Tensor Basis, Tensor Mean, double[] Eigenvalues)
{
    /// <summary>Mean and covariance of what is looked up, from how often each row is: the same as from every single lookup.</summary>
    /// <param name="table">E [V, d] float64.</param>
    /// <param name="counts">Lookups of each row [V] float64, not all zero.</param>
    public static Covariance Lookups(Tensor table, Tensor counts)
    {
        using var scope = NewDisposeScope();
        var gram = table.mT.mm(table * counts.unsqueeze(1));
        var result = Covariance.Of(counts.sum().to(int64).item<long>(), table.mT.mv(counts), gram);
        result.Mean.MoveToOuterDisposeScope();
        result.Matrix.MoveToOuterDisposeScope();
        return result;
    }

    /// <summary>The table in its h directions of largest variance; all rows are transformed, looked up or not.</summary>
    /// <param name="table">E [V, d] float64.</param>
    /// <param name="lookups">Mean and covariance of what is looked up.</param>
    /// <param name="rank">h, 0 to d.</param>
    public static MimickedTable Of(Tensor table, Covariance lookups, int rank)
    {
        using var scope = NewDisposeScope();
        var (values, vectors) = SymmetricEigen.Descending(lookups.Matrix);
        var basis = vectors.narrow(1, 0, rank).clone();
        return new(
            (table - lookups.Mean).mm(basis).MoveToOuterDisposeScope(),
            basis.MoveToOuterDisposeScope(),
            lookups.Mean.alias().MoveToOuterDisposeScope(),
            values.cpu().data<double>().ToArray());
    }

    /// <summary>The wide table E' Uᵀ + 1 μᵀ [V, d]; the caller owns it.</summary>
    public Tensor Restore()
    {
        using var product = Rows.mm(Basis.mT);
        return product + Mean;
    }

    /// <summary>The linear layer that reads narrow rows of several fields, side by side, where it read wide ones before.</summary>
    /// <remarks>
    /// W_f U_f and b + Σ W_f μ_f. Allowed only where nothing stands between the lookups and the layer: an interaction, attention or
    /// gate between the fields needs the wide rows.
    /// </remarks>
    /// <param name="weight">W [k, Σ d_f] float64.</param>
    /// <param name="bias">b [k] float64.</param>
    /// <param name="fields">The table of each field, in the order of W's columns; a table may serve several fields.</param>
    /// <returns>[k, Σ h_f] and [k]; the caller owns both.</returns>
    /// <exception cref="ArgumentException">The fields are not as wide as W.</exception>
    public static (Tensor Weight, Tensor Bias) FuseNext(Tensor weight, Tensor bias, IReadOnlyList<MimickedTable> fields)
    {
        long[] widths = [.. fields.Select(field => field.Mean.shape[0])];
        if (widths.Sum() != weight.shape[1])
        {
            throw new ArgumentException($"fields of {string.Join(" + ", widths)} values do not fit a layer that reads {weight.shape[1]}", nameof(fields));
        }

        using var scope = NewDisposeScope();
        var blocks = weight.split(widths, 1);
        var fused = cat([.. blocks.Zip(fields, (block, field) => block.mm(field.Basis))], 1);
        var moved = blocks.Zip(fields, (block, field) => block.mv(field.Mean)).Aggregate(bias, (sum, mean) => sum + mean);
        return (fused.MoveToOuterDisposeScope(), moved.MoveToOuterDisposeScope());
    }
}
