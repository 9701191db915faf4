using System.Runtime.InteropServices;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Better codes for a given table on a layer's own outputs: one pass of coordinate descent over tr(E G Eᵀ), E = W(C) − W, run after run of each row.</summary>
/// <remarks>
/// A run moves to that of its candidates which lowers the loss most, if any does: 2 δᵀ h + δᵀ G[g, g] δ with δ the change of the codeword and h the run's part of E G. Runs go in blocks; a block's
/// changes reach the columns after it in one product, and those before it in the next pass.
/// </remarks>
/// <param name="gram">G [n, n] float64.</param>
/// <param name="codebook">C [k, d] float64, contiguous.</param>
internal sealed class CandidateDescent(Tensor gram, Tensor codebook)
{
    private const int ColumnsABlock = 128;

    private readonly int width = (int)codebook.shape[1];
    private readonly double[] table = [.. codebook.data<double>()];

    /// <summary>One pass.</summary>
    /// <param name="matrix">W [m, n].</param>
    /// <param name="codes">[m, n / d] int16, contiguous; changed in place.</param>
    /// <param name="candidates">[m n / d, count] int32, contiguous.</param>
    public void Pass(Tensor matrix, Tensor codes, Tensor candidates)
    {
        long runs = codes.shape[1];
        foreach (var (first, height) in RowBlocks.Of(matrix.shape[0], matrix.shape[1]))
        {
            using var scope = NewDisposeScope();
            var block = codes.narrow(0, first, height);
            var slope = (VectorQuantization.Look(block, codebook) - matrix.narrow(0, first, height)).mm(gram);
            Descend(slope, block, candidates.narrow(0, first * runs, height * runs));
        }
    }

    private void Descend(Tensor slope, Tensor codes, Tensor candidates)
    {
        var (rows, runs) = ((int)codes.shape[0], (int)codes.shape[1]);
        int count = (int)candidates.shape[1];
        int step = Math.Max(1, ColumnsABlock / width);
        var found = MemoryMarshal.Cast<byte, ushort>(codes.bytes);
        var choices = MemoryMarshal.Cast<byte, int>(candidates.bytes);
        for (int start = 0; start < runs; start += step)
        {
            using var scope = NewDisposeScope();
            int length = Math.Min(step, runs - start);
            var (column, columns) = ((long)start * width, length * width);
            var own = slope.narrow(1, column, columns).contiguous();
            var metric = gram.narrow(0, column, columns).narrow(1, column, columns).contiguous();
            var moved = zeros(slope.shape[0], columns, dtype: float64);
            var pull = MemoryMarshal.Cast<byte, double>(own.bytes);
            var weights = MemoryMarshal.Cast<byte, double>(metric.bytes);
            var changes = MemoryMarshal.Cast<byte, double>(moved.bytes);
            for (int row = 0; row < rows; row++)
            {
                int line = (row * runs) + start;
                Descend(found.Slice(line, length), choices.Slice(line * count, length * count), pull.Slice(row * columns, columns), weights, changes.Slice(row * columns, columns));
            }

            long after = column + columns;
            if (after < slope.shape[1])
            {
                slope.narrow(1, after, slope.shape[1] - after).addmm_(moved, gram.narrow(0, column, columns).narrow(1, after, slope.shape[1] - after));
            }
        }
    }

    /// <summary>A block of one row.</summary>
    private void Descend(Span<ushort> codes, ReadOnlySpan<int> candidates, Span<double> pull, ReadOnlySpan<double> metric, Span<double> changes)
    {
        int count = candidates.Length / codes.Length;
        for (int run = 0; run < codes.Length; run++)
        {
            int first = run * width;
            int best = codes[run];
            double least = 0;
            foreach (int candidate in candidates.Slice(run * count, count))
            {
                double change = candidate == codes[run] ? 0 : Change(candidate, codes[run], pull.Slice(first, width), metric, first, pull.Length);
                if (change < least)
                {
                    (best, least) = (candidate, change);
                }
            }

            if (best != codes[run])
            {
                Move(best, codes[run], pull, metric, first, changes);
                codes[run] = (ushort)best;
            }
        }
    }

    private double Change(int to, int from, ReadOnlySpan<double> pull, ReadOnlySpan<double> metric, int first, int columns)
    {
        double change = 0;
        for (int i = 0; i < width; i++)
        {
            double product = 2 * pull[i];
            for (int j = 0; j < width; j++)
            {
                product += metric[((first + i) * columns) + first + j] * Difference(to, from, j);
            }

            change += product * Difference(to, from, i);
        }

        return change;
    }

    private void Move(int to, int from, Span<double> pull, ReadOnlySpan<double> metric, int first, Span<double> changes)
    {
        for (int i = 0; i < width; i++)
        {
            double difference = Difference(to, from, i);
            changes[first + i] = difference;
            var weights = metric.Slice((first + i) * pull.Length, pull.Length);
            for (int j = first; j < pull.Length; j++)
            {
                pull[j] += difference * weights[j];
            }
        }
    }

    private double Difference(int to, int from, int place) => table[(to * width) + place] - table[(from * width) + place];
}
