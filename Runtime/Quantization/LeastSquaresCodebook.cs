using System.Numerics;
using System.Runtime.InteropServices;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>The table that serves given codes best on a layer's own outputs: min over C of tr(E G Eᵀ), E = W(C) − W, exactly.</summary>
/// <remarks>
/// W(C) is linear in C, so the normal equations have k d unknowns: A[c, c'] = Σ G[g, g'] over all pairs of places g, g' of one row with codes c and c'. Forming them takes m n² / 2 additions.
/// A codeword that no run has stays; where A is singular otherwise, the change of least norm is taken.
/// </remarks>
internal static class LeastSquaresCodebook
{
    private const double Cutoff = 1e-13;

    /// <summary>Finds the table.</summary>
    /// <param name="matrix">W [m, n].</param>
    /// <param name="gram">G [n, n] float64, contiguous.</param>
    /// <param name="codes">[m, n / d] int16, contiguous.</param>
    /// <param name="codebook">The table so far [k, d] float64.</param>
    /// <returns>[k, d] float64, in the caller's dispose scope.</returns>
    public static Tensor Fit(Tensor matrix, Tensor gram, Tensor codes, Tensor codebook)
    {
        using var scope = NewDisposeScope();
        var slope = zeros_like(codebook);
        foreach (var (first, height) in RowBlocks.Of(matrix.shape[0], matrix.shape[1]))
        {
            using var inner = NewDisposeScope();
            var block = codes.narrow(0, first, height);
            var missing = matrix.narrow(0, first, height).to(float64) - VectorQuantization.Look(block, codebook);
            slope.index_add_(0, VectorQuantization.Indices(block).to(int64), missing.mm(gram).reshape(-1, codebook.shape[1]), 1);
        }

        var (values, vectors) = SymmetricEigen.Descending(NormalMatrix(gram, codes, codebook.shape[0], (int)codebook.shape[1]));
        var inverse = where(values > values[0] * Cutoff, 1 / values, zeros_like(values));
        var change = vectors.mm(inverse.unsqueeze(1) * vectors.mT.mm(slope.reshape(-1, 1)));
        return (codebook + change.reshape(codebook.shape)).MoveToOuterDisposeScope();
    }

    /// <summary>A [k d, k d].</summary>
    private static Tensor NormalMatrix(Tensor gram, Tensor codes, long codewords, int width)
    {
        int area = width * width;
        var (rows, runs) = ((int)codes.shape[0], (int)codes.shape[1]);
        var below = new double[codewords * codewords * area];
        var diagonal = new double[codewords * area];
        var found = MemoryMarshal.Cast<byte, ushort>(codes.bytes);
        for (int place = 0; place < runs; place++)
        {
            using var scope = NewDisposeScope();

            // The pairs of this place and those up to it, each a block of d × d values.
            var blocks = MemoryMarshal.Cast<byte, double>(gram.narrow(0, (long)place * width, width).narrow(1, 0, (place + 1L) * width).reshape(width, place + 1, width).transpose(0, 1).contiguous().bytes);
            for (int row = 0; row < rows; row++)
            {
                var line = found.Slice(row * runs, place + 1);
                var target = below.AsSpan((int)(line[place] * codewords) * area, (int)codewords * area);
                Add(target, line[..place], blocks, area);
                Add(diagonal.AsSpan(line[place] * area, area), [0], blocks[(place * area)..], area);
            }
        }

        using var outer = NewDisposeScope();
        long size = codewords * width;
        var half = tensor(below).reshape(codewords, codewords, width, width).transpose(1, 2).reshape(size, size);
        var own = block_diag([.. tensor(diagonal).reshape(codewords, width, width).unbind(0)]);
        return (half + half.mT + own).MoveToOuterDisposeScope();
    }

    /// <summary>Adds each block to that of the sums which its code names.</summary>
    /// <param name="sums">A block for every code.</param>
    /// <param name="codes">A code for each block, all below the number of sums.</param>
    /// <param name="blocks">Blocks one after the other.</param>
    /// <param name="area">Values of a block.</param>
    private static void Add(Span<double> sums, ReadOnlySpan<ushort> codes, ReadOnlySpan<double> blocks, int area)
    {
        ref double source = ref MemoryMarshal.GetReference(blocks);
        ref double target = ref MemoryMarshal.GetReference(sums);
        for (int block = 0; block < codes.Length; block++)
        {
            int to = codes[block] * area;
            int from = block * area;
            int end = from + area;
            for (; from <= end - Vector<double>.Count; from += Vector<double>.Count, to += Vector<double>.Count)
            {
                (Vector.LoadUnsafe(ref target, (nuint)to) + Vector.LoadUnsafe(ref source, (nuint)from)).StoreUnsafe(ref target, (nuint)to);
            }

            for (; from < end; from++, to++)
            {
                sums[to] += blocks[from];
            }
        }
    }
}
