using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>Bounds from above the largest eigenvalue λ₁ of C = (I − K Kᵀ) M Mᵀ (I − K Kᵀ), what a basis leaves out; tighter with each step.</summary>
/// <remarks>
/// For Gaussian probes Ω and any polynomial, ‖p(C) Ω‖ is at least |p(λ₁)| ‖g‖, g being the probes' share of the first eigenvector, whose length can hardly be small (Dixon 1983).
/// Here p(λ) = x T_{d−1}(2 x − 1) with x = λ / scale: within the scale at most 1, beyond it as steep as any (Kuczyński and Woźniakowski 1992).
/// Wrong with probability below 1e-12, once for all steps. Belongs to the dispose scope that it is made in.
/// </remarks>
internal sealed class OutsideProbe
{
    /// <summary>The number of probes, columns of <see cref="Draw"/>.</summary>
    private const int Probes = 32;

    /// <summary>‖g‖² of 32 Gaussian numbers is below this with probability 1e-12.</summary>
    private const double SmallestShare = 2.61;

    private readonly KrylovBasis basis;
    private readonly double scale;
    private Tensor before;
    private Tensor current;
    private int degree = 1;

    /// <summary>Begins with C Ω.</summary>
    /// <param name="basis">K, made with probes of <see cref="Draw"/>.</param>
    /// <param name="scale">A guess of λ₁, above 0; any will do, a good one makes the bound tight.</param>
    public OutsideProbe(KrylovBasis basis, double scale)
    {
        this.basis = basis;
        this.scale = scale;
        using var scope = NewDisposeScope();
        current = before = (basis.ProbeOutside() / scale).MoveToOuterDisposeScope();
    }

    /// <summary>Ω [m, 32] for a matrix with m rows.</summary>
    /// <param name="matrix">Says size, dtype and device.</param>
    /// <param name="generator">Must not have drawn the same numbers for the basis.</param>
    public static Tensor Draw(Operand matrix, Generator generator) => randn(matrix.Rows, Probes, dtype: matrix.Type, generator: generator).to(matrix.Device);

    /// <summary>What C Ω alone shows, without another product: ‖C Ω‖ is at least λ₁ ‖g‖.</summary>
    /// <returns>An upper bound of λ₁, or infinity.</returns>
    public double Bound() => scale * Height();

    /// <summary>Applies C once more.</summary>
    /// <returns>An upper bound of λ₁, or infinity.</returns>
    public double Tighten()
    {
        using var scope = NewDisposeScope();
        var mapped = basis.ApplyOutside(current);

        // x T₁(2 x − 1) from x T₀, then the recurrence of Chebyshev polynomials.
        var next = degree == 1 ? mapped * (2 / scale) - current : mapped * (4 / scale) - current * 2 - before;
        (before, current) = (current, next.MoveToOuterDisposeScope());
        degree++;
        return scale * Inverse(Height());
    }

    /// <summary>‖p(C) Ω‖ over the smallest length of g, which |p(λ₁)| cannot exceed; infinity where it is no number.</summary>
    private double Height()
    {
        using var scope = NewDisposeScope();
        var gram = current.to(float64).mT.mm(current.to(float64));
        return gram.isfinite().all().item<bool>() ? Math.Sqrt(Math.Max(0, SymmetricEigen.Values(gram)[-1].item<double>()) / SmallestShare) : double.PositiveInfinity;
    }

    /// <summary>The x ≥ 1 with x T_{d−1}(2 x − 1) = height, or 1 where there is none.</summary>
    private double Inverse(double height)
    {
        if (double.IsPositiveInfinity(height))
        {
            return height;
        }

        double low = 1;
        double high = Math.Max(1, height);
        for (int step = 0; step < 60; step++)
        {
            double middle = (low + high) / 2;
            bool below = middle * Math.Cosh((degree - 1) * Math.Acosh(2 * middle - 1)) < height;
            (low, high) = below ? (middle, high) : (low, middle);
        }

        return high;
    }
}
