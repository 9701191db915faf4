using System.Runtime.InteropServices;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>A table of few values for each row of a matrix: weighted k-means in one dimension (SqueezeLLM, arXiv:2306.07629, section 4.1).</summary>
public static class RowTables
{
    /// <summary>Finds the tables.</summary>
    /// <param name="matrix">[rows, columns].</param>
    /// <param name="weights">In the same shape, not negative; in a row without any weight all entries count the same.</param>
    /// <param name="count">Values a table.</param>
    /// <param name="step">How.</param>
    /// <returns>[rows, count] float64, each row ascending; in the caller's dispose scope.</returns>
    public static Tensor Fit(Tensor matrix, Tensor weights, int count, SqueezeLlm step)
    {
        int columns = (int)matrix.shape[1];
        var tables = empty(matrix.shape[0], count, dtype: float64);
        var line = new WeightedLine(columns);
        var partition = step.Solver == TableSolver.Exact ? new IntervalPartition(columns, count) : null;
        double[] ones = new double[columns];
        Array.Fill(ones, 1);
        foreach (var (first, height) in RowBlocks.Of(matrix.shape[0], columns))
        {
            using var scope = NewDisposeScope();
            var points = Numbers(matrix.narrow(0, first, height));
            var masses = Numbers(weights.narrow(0, first, height));
            var centroids = Numbers(tables.narrow(0, first, height));
            for (int row = 0; row < height; row++)
            {
                var mass = masses.Slice(row * columns, columns);
                line.Load(points.Slice(row * columns, columns), mass.ContainsAnyExcept(0) ? mass : ones);
                Fit(line, partition, step.Iterations, centroids.Slice(row * count, count));
            }
        }

        return tables;
    }

    /// <summary>The code of every entry, its nearest table value; of equally near ones the lower code.</summary>
    /// <param name="matrix">[rows, columns].</param>
    /// <param name="tables">[rows, count], each row ascending.</param>
    /// <returns>[rows, columns] int16; in the caller's dispose scope.</returns>
    public static Tensor Assign(Tensor matrix, Tensor tables)
    {
        int columns = (int)matrix.shape[1];
        int count = (int)tables.shape[1];
        var codes = empty(matrix.shape[0], columns, dtype: int16);
        foreach (var (first, height) in RowBlocks.Of(matrix.shape[0], columns))
        {
            using var scope = NewDisposeScope();
            var points = Numbers(matrix.narrow(0, first, height));
            var centroids = Numbers(tables.narrow(0, first, height));
            var target = MemoryMarshal.Cast<byte, short>(codes.narrow(0, first, height).bytes);
            for (int row = 0; row < height; row++)
            {
                WeightedLine.Assign(points.Slice(row * columns, columns), centroids.Slice(row * count, count), target.Slice(row * columns, columns));
            }
        }

        return codes;
    }

    private static void Fit(WeightedLine line, IntervalPartition? partition, int iterations, Span<double> centroids)
    {
        if (partition is not null)
        {
            partition.Solve(line, centroids);
            return;
        }

        line.Quantiles(centroids);
        line.Refine(centroids, iterations);
    }

    private static Span<double> Numbers(Tensor block) => MemoryMarshal.Cast<byte, double>(block.to(float64).contiguous().bytes);
}
