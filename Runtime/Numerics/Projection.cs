using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>Which directions a slice takes.</summary>
public enum Slice
{
    /// <summary>Those with the largest singular values.</summary>
    Top,

    /// <summary>Those with the smallest.</summary>
    Bottom,
}

/// <summary>The one primitive of every SVD-like method: W' = U_r U_rᵀ W, U the left singular vectors of the oriented weight W L.</summary>
/// <param name="Weight">W [m, n] float64, or another real dtype where that is what is known of it; still the caller's.</param>
/// <param name="Basis">U [m, k] and the spectrum S of W L, or the leading part of both; in the caller's dispose scope.</param>
/// <remarks>
/// For any input metric M = L Lᵀ the top slice minimises tr((W − W') M (W − W')ᵀ) over all matrices of rank r; the minimum is Σ_{i&gt;r} S_i².
/// M = I: truncated SVD; diag(a²): ASVD (arXiv:2312.05821) and FWSVD (arXiv:2207.00112); Xᵀ X: SVD-LLM (arXiv:2403.07378);
/// the centred covariance: LoRD (arXiv:2309.14021); a damped covariance squared: CorDA (arXiv:2406.05223).
/// U_r S_r V_rᵀ L⁻¹ = U_r U_rᵀ W, so no inverse is formed and a singular metric is as good as any.
/// </remarks>
public sealed record Projection(Tensor Weight, LeftSvd Basis)
{
    /// <summary>Singular values above this share of the largest count for the numerical rank (1e-10 in eigenvalues of a covariance).</summary>
    public const double RankTolerance = 1e-5;

    /// <summary>Directions below this share of the largest singular value carry nothing but rounding; their factors are zero.</summary>
    public const double ZeroTolerance = 1e-12;

    /// <summary>Singular values of W L, descending; those that are known.</summary>
    public double[] Spectrum => Basis.Values;

    /// <summary>How many singular values stand out of the noise.</summary>
    public int NumericalRank => Spectrum.Count(value => value > RankTolerance * Spectrum[0]);

    /// <summary>How many directions of a bottom slice have zero factors.</summary>
    public int SilentDirections(int rank) => Spectrum.TakeLast(rank).Count(value => value <= ZeroTolerance * Spectrum[0]);

    /// <summary>Decomposes a weight in a metric.</summary>
    /// <param name="weight">W [m, n] float64.</param>
    /// <param name="oriented">W L [m, k] float64.</param>
    /// <param name="route">How; a bottom slice needs <see cref="SvdRoute.Exact"/>.</param>
    public static Projection Of(Tensor weight, Tensor oriented, SvdRoute route) => new(weight, LeftSvd.Of(oriented, route));

    /// <summary>Decomposes a weight in a metric, as far as leading slices up to a rank need it.</summary>
    /// <param name="weight">W [m, n] float64.</param>
    /// <param name="oriented">W L [m, k] float64.</param>
    /// <param name="rank">The largest rank of a slice.</param>
    /// <param name="accuracy">How good an iteration must be.</param>
    /// <param name="seed">The seed of an iteration's random start.</param>
    public static Projection Leading(Tensor weight, Tensor oriented, int rank, SvdAccuracy accuracy, long seed) =>
        new(weight, LeftSvd.Leading(oriented, rank, accuracy, seed));

    /// <summary>U_r [m, r] of a slice; the caller owns it.</summary>
    public Tensor Directions(Slice slice, int rank) => Basis.Vectors.narrow(1, First(slice, rank), rank);

    /// <summary>U_r U_rᵀ W [m, n]; the caller owns it.</summary>
    public Tensor Project(Slice slice, int rank)
    {
        using var scope = NewDisposeScope();
        var directions = Directions(slice, rank);
        return directions.mm(new Operand(Weight, float64).TimesFromLeft(directions.mT)).MoveToOuterDisposeScope();
    }

    /// <summary>The thin factors of a slice: B = U_r S^p, A = S^−p U_rᵀ W with p = ½, 1 or 0.</summary>
    /// <param name="slice">Which end.</param>
    /// <param name="rank">r, at most the number of singular values.</param>
    /// <param name="fuse">Which factor carries the singular values.</param>
    /// <param name="scaling">c of a LoRA layer, which computes c · B A: S/c takes the place of S.</param>
    public FactorPair Factors(Slice slice, int rank, SigmaFuse fuse = SigmaFuse.Both, double scaling = 1)
    {
        using var scope = NewDisposeScope();
        var values = Spectrum.AsSpan(First(slice, rank), rank).ToArray();
        double zero = ZeroTolerance * Spectrum[0];
        double power = fuse switch { SigmaFuse.Both => 0.5, SigmaFuse.Left => 1, _ => 0 };
        var left = tensor(values.Select(s => Math.Pow(s / scaling, power)).ToArray(), device: Weight.device);
        var right = tensor(values.Select(s => s <= zero ? 0 : Math.Pow(s / scaling, -power) / scaling).ToArray(), device: Weight.device);
        var directions = Directions(slice, rank);
        return new FactorPair(directions * left, new Operand(Weight, float64).TimesFromLeft(directions.mT) * right.unsqueeze(1)).MoveToOuterDisposeScope();
    }

    /// <summary>Σ S_i² over a slice: ‖U_r U_rᵀ W L‖_F².</summary>
    public double Energy(Slice slice, int rank) => Squares(Spectrum.AsSpan(First(slice, rank), rank));

    /// <summary>The exact loss in the metric when a slice replaces the weight: Σ S_i² over the other directions.</summary>
    public double Loss(Slice slice, int rank)
    {
        int first = First(slice, rank);
        return Squares(Spectrum.AsSpan(0, first)) + Squares(Spectrum.AsSpan(first + rank)) + Basis.Tail;
    }

    private int First(Slice slice, int rank) => rank < 1 || rank > Spectrum.Length
        ? throw new ArgumentOutOfRangeException(nameof(rank), rank, $"a slice takes 1 to {Spectrum.Length} directions")
        : slice == Slice.Top ? 0 : Spectrum.Length - rank;

    /// <summary>Sums from the smallest, so that a long tail is not lost.</summary>
    private static double Squares(ReadOnlySpan<double> descending)
    {
        double sum = 0;
        for (int i = descending.Length - 1; i >= 0; i--)
        {
            sum += descending[i] * descending[i];
        }

        return sum;
    }
}
