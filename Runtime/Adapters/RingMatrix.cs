using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>Matrices as tensor rings: T[(i₁ … i_D), (j₁ … j_D)] = trace(A¹[i₁, j₁] ⋯ A^D[i_D, j_D]), the first index the slowest.</summary>
/// <remarks>Cores are [I_d, J_d, R, R]. With R = 1 the matrix is the Kronecker product of the cores in their order.</remarks>
public static class RingMatrix
{
    /// <summary>The matrix [∏ I, ∏ J]; the caller owns it.</summary>
    public static Tensor Contract(IReadOnlyList<Tensor> cores)
    {
        using var scope = NewDisposeScope();
        var open = cores[0];
        foreach (var core in cores.Skip(1))
        {
            long[] shape = [open.shape[0] * core.shape[0], open.shape[1] * core.shape[1], open.shape[2], core.shape[3]];
            open = einsum("pqab,ijbc->piqjac", open, core).reshape(shape);
        }

        return open.diagonal(0, 2, 3).sum(dim: -1L).MoveToOuterDisposeScope();
    }

    /// <summary>T x, core by core: T itself is not formed.</summary>
    /// <param name="cores">The cores.</param>
    /// <param name="x">[..., ∏ J].</param>
    /// <returns>[..., ∏ I]; the caller owns it.</returns>
    public static Tensor Apply(IReadOnlyList<Tensor> cores, Tensor x)
    {
        using var scope = NewDisposeScope();
        var open = einsum("tjq,ijab->taibq", x.reshape(-1, cores[0].shape[1], x.shape[^1] / cores[0].shape[1]), cores[0]);
        foreach (var core in cores.Skip(1))
        {
            var (samples, first, done, ring, rest) = (open.shape[0], open.shape[1], open.shape[2], open.shape[3], open.shape[4] / core.shape[1]);
            open = einsum("tapbjq,ijbc->tapicq", open.reshape(samples, first, done, ring, core.shape[1], rest), core)
                .reshape(samples, first, done * core.shape[0], core.shape[3], rest);
        }

        return open.squeeze(-1).diagonal(0, 1, 3).sum(dim: -1L).reshape([.. x.shape[..^1], -1]).MoveToOuterDisposeScope();
    }

    /// <summary>Cores of S Tᵀ from those of S and T: C[i, j] = Σ_l A[i, l] ⊗ B[j, l], of ring rank R².</summary>
    public static IReadOnlyList<Tensor> TimesTransposed(IReadOnlyList<Tensor> left, IReadOnlyList<Tensor> right) =>
        [.. left.Zip(right, (a, b) =>
        {
            long rank = a.shape[2] * b.shape[2];
            using var product = einsum("ilab,jlcd->ijacbd", a, b);
            return product.reshape(a.shape[0], b.shape[0], rank, rank);
        })];

    /// <summary>Cores of the identity: I / R at every place of the ring.</summary>
    /// <param name="sizes">The I_d.</param>
    /// <param name="rank">R.</param>
    /// <returns>float64; the caller owns them.</returns>
    public static IReadOnlyList<Tensor> Identity(IReadOnlyList<int> sizes, int rank) =>
        [.. sizes.Select(size =>
        {
            using var scope = NewDisposeScope();
            return Unit(size, rank, float64, CPU).expand(size, size, rank, rank).contiguous().MoveToOuterDisposeScope();
        })];

    /// <summary>How far cores are from those of the identity: the sum of ‖A[:, :, r, r′] − I / R‖ over cores and places of the ring, a penalty that keeps a transform near the start.</summary>
    /// <returns>A scalar with gradients; the caller owns it.</returns>
    public static Tensor DistanceFromIdentity(IReadOnlyList<Tensor> cores)
    {
        using var scope = NewDisposeScope();
        var distance = cores[0].new_zeros([]);
        foreach (var core in cores)
        {
            distance = distance + (core - Unit(core.shape[0], core.shape[2], core.dtype, core.device)).square().sum([0, 1]).sqrt().sum();
        }

        return distance.MoveToOuterDisposeScope();
    }

    /// <summary>I / R for every place of the ring [size, size, 1, 1].</summary>
    private static Tensor Unit(long size, long rank, ScalarType dtype, Device device) => eye(size, dtype: dtype, device: device).div(rank).unsqueeze(-1).unsqueeze(-1);
}
