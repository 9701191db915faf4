using System.Collections.Concurrent;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Optimization;

/// <summary>The orthogonal matrix of the discrete cosine transform, one for each size, dtype and device, shared by all layers.</summary>
public static class DctBasis
{
    private static readonly ConcurrentDictionary<(long Size, ScalarType Dtype, string Device), Lazy<Tensor>> Made = new();

    /// <summary>C [d, d]: C[i, j] = √(2/d) k_i cos(π i (2 j + 1) / 2 d), k_0 = √½. Its columns are the basis "dct3", its rows "dct2"; x Cᵀ is the orthonormal DCT-II of x. Shared: never dispose of it.</summary>
    public static Tensor Of(long size, ScalarType dtype, Device device) =>
        Made.GetOrAdd((size, dtype, device.ToString()), _ => new(() => Make(size).to(dtype).to(device).DetachFromDisposeScope())).Value;

    /// <summary>The orthonormal DCT-II of each row by one Fourier transform of the same length (Makhoul 1980); equals x Cᵀ.</summary>
    /// <param name="rows">[rows, d], float32 or float64.</param>
    /// <returns>[rows, d] in the caller's dispose scope.</returns>
    public static Tensor Makhoul(Tensor rows)
    {
        using var scope = NewDisposeScope();
        long size = rows.shape[1];
        long[] order = [.. Indices(0), .. Indices(1).Reverse()];
        var angles = arange(size, dtype: float64) * (-Math.PI / (2 * size));
        var scale = full(size, 2 / Math.Sqrt(2 * size), dtype: float64);
        scale[0] = 2 / Math.Sqrt(4 * size);
        var spectrum = fft.fft_(rows.index_select(1, tensor(order, device: rows.device)));
        var cosines = (angles.cos() * scale).to(rows.dtype).to(rows.device);
        var sines = (angles.sin() * scale).to(rows.dtype).to(rows.device);
        return ((spectrum.real * cosines) - (spectrum.imag * sines)).MoveToOuterDisposeScope();

        IEnumerable<long> Indices(long first)
        {
            for (long i = first; i < size; i += 2)
            {
                yield return i;
            }
        }
    }

    private static Tensor Make(long size)
    {
        using var scope = NewDisposeScope();
        var i = arange(size, dtype: float64).unsqueeze(1);
        var j = arange(size, dtype: float64);
        var basis = (i * ((2 * j) + 1) * (Math.PI / (2 * size))).cos() * Math.Sqrt(2.0 / size);
        basis[0] *= Math.Sqrt(0.5);
        return basis.MoveToOuterDisposeScope();
    }
}
