using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>The leading left singular vectors by randomised block Krylov iteration, with a certificate of how good they are.</summary>
/// <remarks>
/// The loss of the vectors found is ‖M‖² − ‖Uᵀ M‖². The smallest loss possible is bounded from below by <see cref="SpectralBound"/>; how far the loss can lie above it is certified, the
/// rounding of the iteration's dtype included, up to a failure of the random probes with probability below 1e-11. Slow spectra give large certificates, never falsely small ones.
/// </remarks>
internal static class RandomisedSvd
{
    /// <summary>Blocks before a look at the certificate can be worth its cost: a fast iteration has blocks of half the rank, which reach further into slow spectra for as many products.</summary>
    private const int FirstFastCheck = 6;

    /// <summary>Blocks before a look at a tight certificate can be worth its cost.</summary>
    private const int FirstTightCheck = 4;

    /// <summary>Steps of the probe, beyond which growing the basis tightens the certificate more.</summary>
    private const int MostProbeSteps = 7;

    /// <summary>The most vectors that a basis has; beyond that other routes cost less.</summary>
    public static long LargestBasis(int rank) => 15L * Math.Max(8, rank);

    /// <summary>The largest excess of the loss, as a share of the smallest loss, that an accuracy allows.</summary>
    public static double Tolerance(SvdAccuracy accuracy) => accuracy == SvdAccuracy.Fast ? 0.01 : 1e-6;

    /// <summary>Iterates until the certificate is within the tolerance, or the basis has its largest size.</summary>
    /// <param name="matrix">M [m, n] float64, or another real dtype where that is what is known of it; then no copy in float64 is made.</param>
    /// <param name="rank">r, at most a sixteenth of the smaller side.</param>
    /// <param name="accuracy">The tolerance. The iteration is in float32 for <see cref="SvdAccuracy.Fast"/>, whose rounding the certificate includes.</param>
    /// <param name="seed">The seed of the random vectors.</param>
    /// <returns>U [m, r] in the caller's dispose scope, not yet in the sign gauge.</returns>
    public static LeftSvd Of(Tensor matrix, int rank, SvdAccuracy accuracy, long seed)
    {
        using var scope = NewDisposeScope();
        bool fast = accuracy == SvdAccuracy.Fast;
        var operand = new Operand(matrix, fast ? float32 : float64);
        double energy = Energy(matrix);
        double unit = fast ? Math.ScaleB(1, -24) : Math.ScaleB(1, -53);
        using var generator = new Generator((ulong)seed);
        int block = fast ? Math.Max(8, rank / 2) : rank + Math.Max(8, rank / 2);
        var start = randn(block, matrix.shape[1], dtype: operand.Type, generator: generator).to(matrix.device).mT;
        var basis = new KrylovBasis(operand, start, OutsideProbe.Draw(operand, generator));
        var search = new Search(basis, energy, unit, rank);
        long largest = Math.Min(LargestBasis(rank), Math.Min(matrix.shape[0], matrix.shape[1]) / 2);
        for (int blocks = 1; blocks < (fast ? FirstFastCheck : FirstTightCheck); blocks++)
        {
            basis.Grow();
        }

        do
        {
            basis.Grow();
        }
        while (!search.IsWithin(Tolerance(accuracy), last: basis.Size + block > largest) && basis.Size + block <= largest);

        return Finish(search, energy);
    }

    /// <summary>Orthonormal to float64 and rotated so that Uᵀ M has orthogonal rows; the loss is that of these vectors. They are moved out of the caller's scope.</summary>
    private static LeftSvd Finish(Search search, double energy)
    {
        // The directions D are orthonormal but for rounding: with L Lᵀ = Dᵀ D, Q = D L⁻ᵀ is so to float64, and Qᵀ M = L⁻¹ Dᵀ M is known from the basis.
        var directions = search.Directions.to(float64);
        var lower = linalg.cholesky(directions.mT.mm(directions));
        var basis = linalg.solve_triangular(lower, directions.mT, upper: false).mT;
        var image = linalg.solve_triangular(lower, search.Opposite.to(float64).mT, upper: false);
        var (squares, rotation) = SymmetricEigen.Descending(image.mm(image.mT));
        squares = squares.clamp_min(0);
        double loss = Math.Max(0, energy - squares.sum().item<double>());
        double smallest = Math.Max(0, energy - search.LargestEnergy);
        double excess = smallest > 0 ? Math.Max(0, loss - smallest) / smallest : double.PositiveInfinity;
        return new(basis.mm(rotation).MoveToOuterDisposeScope(), squares.sqrt().cpu().data<double>().ToArray(), loss, excess);
    }

    /// <summary>‖M‖², rows summed in the dtype of M, or float32 where that is narrower, and their sums in float64.</summary>
    private static double Energy(Tensor matrix)
    {
        double sum = 0;
        bool isWide = matrix.dtype is ScalarType.Float32 or ScalarType.Float64;
        foreach (var (first, count) in isWide ? [(0, matrix.shape[0])] : RowBlocks.Of(matrix.shape[0], matrix.shape[1]))
        {
            using var scope = NewDisposeScope();
            var block = matrix.narrow(0, first, count);
            sum += (isWide ? block : block.to(float32)).norm(dim: 1, keepdim: false).to(float64).square().sum().item<double>();
        }

        return sum;
    }

    /// <summary>What is known about the leading eigenvalues as the basis grows.</summary>
    private sealed class Search(KrylovBasis basis, double energy, double unit, int rank)
    {
        private Tensor inside = empty(0);
        private Tensor residual = empty(0);
        private double[] leading = [];
        private double[] residuals = [];

        /// <summary>U_r of the basis [m, r], in the scope of the search.</summary>
        public Tensor Directions { get; private set; } = empty(0);

        /// <summary>Mᵀ U_r [n, r], in the scope of the search.</summary>
        public Tensor Opposite { get; private set; } = empty(0);

        /// <summary>No rank-r projection keeps more than this.</summary>
        public double LargestEnergy { get; private set; } = double.PositiveInfinity;

        /// <summary>Whether the loss is certified to be within the tolerance. Probes are spent only where they can succeed, or nothing else is left to do.</summary>
        public bool IsWithin(double tolerance, bool last)
        {
            using var scope = NewDisposeScope();
            var (compressed, error) = basis.Compress();
            // The bound below is computed from H itself in float64, so that the directions may come from H in the iteration's dtype, at little more than half the time.
            var (ascending, columns) = SymmetricEigen.Ascending(compressed.to(basis.Vectors.dtype));
            var (values, rotation) = (ascending.flip(0), columns.narrow(1, basis.Size - rank, rank).flip(1));
            var found = rotation.to(float64);
            leading = values.narrow(0, 0, rank).to(float64).cpu().data<double>().ToArray();
            residuals = (error.mm(found) * found).sum(dim: 0).cpu().data<double>().ToArray();
            inside = compressed.MoveToOuterDisposeScope();
            residual = error.MoveToOuterDisposeScope();
            Directions = basis.Vectors.mm(rotation).MoveToOuterDisposeScope();
            Opposite = basis.Opposite.mm(rotation).MoveToOuterDisposeScope();
            double scale = values[rank + (rank / 4)].to(float64).item<double>();
            if (scale <= 0 || (EstimatedExcess(0) > tolerance && !last))
            {
                return false;
            }

            var probe = new OutsideProbe(basis, scale);
            for (int step = 0; step <= MostProbeSteps && Excess(LargestEnergy) > tolerance; step++)
            {
                double outside = step == 0 ? probe.Bound() : probe.Tighten();
                if (EstimatedExcess(outside) <= tolerance || step == MostProbeSteps)
                {
                    LargestEnergy = Math.Min(LargestEnergy, SumOutside(outside));
                }
            }

            return Excess(LargestEnergy) <= tolerance;
        }

        private double EstimatedExcess(double outside) => Excess(SpectralBound.EstimatedLeadingSum(leading, residuals, outside) + Slack());

        private double Excess(double bound) => bound < energy ? (bound - leading.Sum()) / (energy - bound) : double.PositiveInfinity;

        private double SumOutside(double outside) => SpectralBound.LeadingSum(inside, residual, leading[^1], outside, rank) + Slack();

        /// <summary>What rounding the matrix and its products can take from the leading eigenvalues: Σ (σ_i + δ)² − σ_i², δ = 16 u ‖M‖.</summary>
        private double Slack()
        {
            double perturbation = 16 * unit * Math.Sqrt(energy);
            return leading.Sum(value => perturbation * (2 * Math.Sqrt(Math.Max(0, value)) + perturbation));
        }
    }
}
