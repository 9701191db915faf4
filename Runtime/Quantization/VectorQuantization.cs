using System.Numerics;
using System.Runtime.InteropServices;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>One table of vectors for all runs of neighbours in the rows of a matrix: k-means by Lloyd's iteration.</summary>
/// <remarks>A matrix in float64 is worked on in float64, any other in float32; sums, costs and tables are float64. Deterministic. No tensor beside the codes grows with the matrix, but for the start, which takes one value a run.</remarks>
internal static class VectorQuantization
{
    /// <summary>First codewords by k-means++: each is a run drawn in proportion to its squared distance to those before it.</summary>
    /// <param name="matrix">[m, n], finite.</param>
    /// <param name="codewords">k.</param>
    /// <param name="width">d, a divisor of n.</param>
    /// <param name="seed">Decides the draws.</param>
    /// <returns>[k, d] float64; where there are fewer different runs, the rest repeats the first. In the caller's dispose scope.</returns>
    public static Tensor Start(Tensor matrix, int codewords, int width, long seed) =>
        matrix.dtype == float64 ? Start<double>(matrix, codewords, width, seed) : Start<float>(matrix, codewords, width, seed);

    /// <summary>Lloyd's iteration until no code changes.</summary>
    /// <param name="matrix">[m, n], finite.</param>
    /// <param name="start">First codewords [k, d].</param>
    /// <param name="iterations">The most rounds; a codeword that no run has stays.</param>
    /// <returns>The table, in the caller's dispose scope, and the mean squared error of the matrix before each round.</returns>
    public static (Tensor Codebook, IReadOnlyList<double> Losses) Lloyd(Tensor matrix, Tensor start, int iterations)
    {
        using var scope = NewDisposeScope();
        var codebook = start.to(float64, copy: true);
        var codes = full(matrix.shape[0], matrix.shape[1] / start.shape[1], -1, dtype: int16);
        var losses = new List<double>();
        var sums = new double[start.numel()];
        var counts = new long[start.shape[0]];
        for (int iteration = 0; iteration < iterations; iteration++)
        {
            Array.Clear(sums);
            Array.Clear(counts);
            var (loss, changed) = Assign(matrix, codebook, codes, sums, counts);
            losses.Add(loss);
            if (changed == 0)
            {
                break;
            }

            Update(MemoryMarshal.Cast<byte, double>(codebook.bytes), sums, counts);
        }

        return (codebook.MoveToOuterDisposeScope(), losses);
    }

    /// <summary>The nearest codeword of every run.</summary>
    /// <param name="matrix">[m, n], finite.</param>
    /// <param name="codebook">[k, d].</param>
    /// <returns>Codes [m, n / d] int16 (above 32767 as the same 16 bits), in the caller's dispose scope, and the mean squared error of the matrix.</returns>
    public static (Tensor Codes, double Loss) Assign(Tensor matrix, Tensor codebook)
    {
        using var scope = NewDisposeScope();
        var codes = zeros(matrix.shape[0], matrix.shape[1] / codebook.shape[1], dtype: int16);
        var (loss, _) = Assign(matrix, codebook, codes, [], []);
        return (codes.MoveToOuterDisposeScope(), loss);
    }

    /// <summary>The nearest codewords of every run, ascending in distance; of equally near ones the lower index comes first.</summary>
    /// <param name="matrix">[m, n], finite.</param>
    /// <param name="codebook">[k, d].</param>
    /// <param name="count">Codewords a run, at most k.</param>
    /// <returns>Indices [m n / d, count] int32 and Euclidean distances in the dtype that is worked in, both in the caller's dispose scope.</returns>
    public static (Tensor Indices, Tensor Distances) Candidates(Tensor matrix, Tensor codebook, int count) =>
        matrix.dtype == float64 ? Candidates<double>(matrix, codebook, count) : Candidates<float>(matrix, codebook, count);

    /// <summary>The matrix of given codes.</summary>
    /// <param name="codes">[m, n / d] int16.</param>
    /// <param name="codebook">[k, d].</param>
    /// <returns>[m, n] in the table's dtype; the current dispose scope owns it.</returns>
    public static Tensor Look(Tensor codes, Tensor codebook) => codebook.index_select(0, Indices(codes)).reshape(codes.shape[0], -1);

    /// <summary>Codes as indices [all codes] int32; the current dispose scope owns them.</summary>
    public static Tensor Indices(Tensor codes) => codes.reshape(-1).to(int32).bitwise_and_(0xFFFF);

    private static (double Loss, long Changed) Assign(Tensor matrix, Tensor codebook, Tensor codes, double[] sums, long[] counts) =>
        matrix.dtype == float64 ? Assign<double>(matrix, codebook, codes, sums, counts) : Assign<float>(matrix, codebook, codes, sums, counts);

    private static (double Loss, long Changed) Assign<T>(Tensor matrix, Tensor codebook, Tensor codes, double[] sums, long[] counts)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        int width = (int)codebook.shape[1];
        var nearest = Nearest<T>(codebook);
        double cost = 0;
        long changed = 0;
        foreach (var (first, height) in RowBlocks.Of(matrix.shape[0], matrix.shape[1]))
        {
            using var scope = NewDisposeScope();
            var values = Values<T>(matrix, first, height);
            var found = MemoryMarshal.Cast<byte, ushort>(codes.narrow(0, first, height).bytes);
            for (int run = 0; run < found.Length; run++)
            {
                var vector = values.Slice(run * width, width);
                var (code, distance) = nearest.Nearest(vector);
                cost += distance;
                changed += found[run] == code ? 0 : 1;
                found[run] = (ushort)code;
                if (counts.Length > 0)
                {
                    counts[code]++;
                    Add(vector, sums.AsSpan(code * width, width));
                }
            }
        }

        return (cost / matrix.numel(), changed);
    }

    private static void Add<T>(ReadOnlySpan<T> vector, Span<double> sums)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int i = 0; i < vector.Length; i++)
        {
            sums[i] += double.CreateTruncating(vector[i]);
        }
    }

    private static void Update(Span<double> codebook, double[] sums, long[] counts)
    {
        int width = codebook.Length / counts.Length;
        for (int i = 0; i < codebook.Length; i++)
        {
            codebook[i] = counts[i / width] == 0 ? codebook[i] : sums[i] / counts[i / width];
        }
    }

    private static Tensor Start<T>(Tensor matrix, int codewords, int width, long seed)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator((ulong)seed);
        double[] draws = [.. rand(codewords, dtype: float64, generator: generator).data<double>()];
        var codebook = new double[codewords * width];
        var distances = new T[matrix.numel() / width];
        Array.Fill(distances, T.PositiveInfinity);
        Read<T>(matrix, Math.Min((long)(draws[0] * distances.Length), distances.Length - 1), codebook.AsSpan(0, width));
        for (int next = 1; next < codewords; next++)
        {
            double total = Approach(matrix, codebook.AsSpan((next - 1) * width, width), distances);
            long run = total > 0 ? Drawn(distances, draws[next] * total) : -1;
            var codeword = codebook.AsSpan(next * width, width);
            if (run < 0)
            {
                codebook.AsSpan(0, width).CopyTo(codeword);
            }
            else
            {
                Read<T>(matrix, run, codeword);
            }
        }

        return tensor(codebook).reshape(codewords, width).MoveToOuterDisposeScope();
    }

    /// <summary>Lowers each run's squared distance to that of a new codeword, where that is nearer; gives their sum.</summary>
    private static double Approach<T>(Tensor matrix, ReadOnlySpan<double> codeword, T[] distances)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        Span<T> aim = stackalloc T[codeword.Length];
        for (int i = 0; i < aim.Length; i++)
        {
            aim[i] = T.CreateTruncating(codeword[i]);
        }

        double total = 0;
        int run = 0;
        foreach (var (first, height) in RowBlocks.Of(matrix.shape[0], matrix.shape[1]))
        {
            using var scope = NewDisposeScope();
            var values = Values<T>(matrix, first, height);
            for (; !values.IsEmpty; values = values[aim.Length..], run++)
            {
                var distance = T.Zero;
                for (int i = 0; i < aim.Length; i++)
                {
                    var difference = values[i] - aim[i];
                    distance += difference * difference;
                }

                distances[run] = distance < distances[run] ? distance : distances[run];
                total += double.CreateTruncating(distances[run]);
            }
        }

        return total;
    }

    /// <summary>The run in which the running sum of distances passes a mark; never one that a codeword meets already.</summary>
    private static long Drawn<T>(T[] distances, double mark)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        double sum = 0;
        long last = 0;
        for (int run = 0; run < distances.Length; run++)
        {
            if (distances[run] > T.Zero)
            {
                last = run;
                sum += double.CreateTruncating(distances[run]);
                if (sum > mark)
                {
                    break;
                }
            }
        }

        return last;
    }

    private static (Tensor Indices, Tensor Distances) Candidates<T>(Tensor matrix, Tensor codebook, int count)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        int width = (int)codebook.shape[1];
        var nearest = Nearest<T>(codebook);
        long runs = matrix.shape[1] / width;
        var indices = empty(matrix.shape[0] * runs, count, dtype: int32);
        var distances = empty(matrix.shape[0] * runs, count, dtype: matrix.dtype == float64 ? float64 : float32);
        var work = new T[nearest.Padded];
        foreach (var (first, height) in RowBlocks.Of(matrix.shape[0], matrix.shape[1]))
        {
            using var scope = NewDisposeScope();
            var values = Values<T>(matrix, first, height);
            var codes = MemoryMarshal.Cast<byte, int>(indices.narrow(0, first * runs, height * runs).bytes);
            var squares = MemoryMarshal.Cast<byte, T>(distances.narrow(0, first * runs, height * runs).bytes);
            for (int run = 0; run < height * runs; run++)
            {
                nearest.Nearest(values.Slice(run * width, width), codes.Slice(run * count, count), squares.Slice(run * count, count), work);
            }
        }

        return (indices, distances.sqrt_());
    }

    private static NearestCodewords<T> Nearest<T>(Tensor codebook)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        using var wide = codebook.to(float64, copy: true).contiguous();
        return new(MemoryMarshal.Cast<byte, double>(wide.bytes), (int)codebook.shape[1]);
    }

    private static void Read<T>(Tensor matrix, long run, Span<double> into)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        using var scope = NewDisposeScope();
        long first = run * into.Length;
        var row = Values<T>(matrix, first / matrix.shape[1], 1);
        for (int i = 0; i < into.Length; i++)
        {
            into[i] = double.CreateTruncating(row[(int)(first % matrix.shape[1]) + i]);
        }
    }

    /// <summary>Rows in what is computed in; alive as long as the current dispose scope.</summary>
    private static ReadOnlySpan<T> Values<T>(Tensor matrix, long first, long height)
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(matrix.narrow(0, first, height).to(typeof(T) == typeof(double) ? float64 : float32).contiguous().bytes);
}
