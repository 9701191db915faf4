using PipelineDsl.Runtime.Analysis;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Analysis;

public sealed class FarmsTests
{
    [Theory]
    [InlineData(1.5)]
    [InlineData(2)]
    [InlineData(3)]
    public void The_exponent_of_a_pure_power_law_is_recovered(double alpha)
    {
        const int count = 2000;
        double[] values = [.. Enumerable.Range(0, count).Select(k => Math.Pow((count - k - 0.5) / count, -1 / (alpha - 1)))];
        HillFit.Of(values, TailStart.Median).Alpha.ShouldBe(alpha, 0.01 * alpha);
        HillFit.Of(values, TailStart.BestKolmogorovSmirnov).Alpha.ShouldBe(alpha, 0.02 * alpha);
    }

    [Fact]
    public void The_aspect_ratio_of_noise_does_not_show()
    {
        var windows = new SpectralWindows { Rows = 96, PerDimension = 5 };
        foreach (var (m, n, plain) in new[] { (256, 256, 2.10), (256, 512, 2.71), (256, 1024, 3.52), (1024, 256, 3.42) })
        {
            using var weight = Gaussian(m, n) / Math.Sqrt(n);
            HillFit.Of(windows.Eigenvalues(weight), TailStart.Median).Alpha.ShouldBeInRange(2.09, 2.15);
            using var values = linalg.svdvals(weight).square();
            HillFit.Of([.. values.data<double>().ToArray().Order()], TailStart.Median).Alpha.ShouldBe(plain, 0.1);
        }
    }

    [Theory]
    [InlineData(0.05)]
    [InlineData(20)]
    public void The_scale_of_a_weight_does_not_matter(double scale)
    {
        using var weight = Gaussian(60, 40);
        using var scaled = weight * scale;
        var windows = new SpectralWindows { Rows = 20, PerDimension = 3 };
        foreach (var start in new[] { TailStart.Median, TailStart.Peak })
        {
            double expected = HillFit.Of(windows.Eigenvalues(weight), start, cut: PeakLowerCut.Linear).Alpha;
            HillFit.Of(windows.Eigenvalues(scaled), start, cut: PeakLowerCut.Linear).Alpha.ShouldBeNear(expected, 1e-9);
        }
    }

    [Fact]
    public void One_window_over_a_square_weight_is_the_plain_analysis()
    {
        using var weight = Gaussian(32, 32);
        using var plain = linalg.svdvals(weight).square();
        double[] values = [.. plain.data<double>().ToArray().Order()];
        new SpectralWindows { Rows = 32, PerDimension = 2 }.Eigenvalues(weight).ShouldBe(values);
        new SpectralWindows { Rows = 500, PerDimension = 2 }.Eigenvalues(weight).ShouldBe(values);
    }

    [Fact]
    public void A_transposed_weight_has_the_same_spectrum()
    {
        using var weight = Gaussian(40, 64);
        using var mirrored = weight.mT.contiguous();
        var windows = new SpectralWindows { Rows = 16, PerDimension = 3 };
        using var expected = tensor(windows.Eigenvalues(weight));
        windows.Eigenvalues(mirrored).ShouldBeNear(expected, 1e-10);
    }

    [Fact]
    public void A_window_never_leaves_the_weight()
    {
        foreach (var (m, n, ratio) in new[] { (64, 16, 2.0), (16, 64, 2.0), (5, 3, 0.1), (8, 8, 3.0) })
        {
            var (rows, columns, starts) = new SpectralWindows { Rows = 32, AspectRatio = ratio, PerDimension = 3 }.Place(m, n);
            starts.ShouldAllBe(start => start.Row >= 0 && start.Column >= 0 && start.Row + rows <= m && start.Column + columns <= n);
        }

        Should.Throw<InvalidOperationException>(() => new SpectralWindows { PerDimension = 1 }.Place(4, 4)).Message.ShouldContain("at least 2");
        new SpectralWindows { Rows = 4, PerDimension = null, StepSize = 3 }.Place(10, 4).Starts.ShouldBe([(0L, 0L), (3L, 0L), (6L, 0L)]);
    }

    [Fact]
    public void A_convolution_is_pooled_over_its_positions()
    {
        using var kernel = randn([12, 5, 3, 3], dtype: float64, generator: new Generator(4));
        var pieces = new SpectralWindows().KernelEigenvalues(kernel);
        pieces.Count.ShouldBe(2);
        pieces.ShouldAllBe(piece => piece.Length == 5 * 9);
        using var first = linalg.svdvals(kernel[.., .., 0, 0].narrow(0, 0, 5)).square() * 0.5;
        foreach (double value in first.data<double>().ToArray())
        {
            pieces[0].ShouldContain(other => Math.Abs(other - value) < 1e-10);
        }
    }

    [Fact]
    public void Ratios_meet_the_target_rise_with_alpha_and_share_out_what_a_limit_cuts_off()
    {
        double[] alphas = [2, 4, 3, 6];
        long[] counts = [100, 300, 50, 700];
        foreach (double sparsity in new[] { 0.0, 0.3, 0.7, 0.95, 0.998 })
        {
            double[] ratios = ExponentMaps.Ratios(alphas, counts, sparsity, 0.3, 0.998);
            (ratios.Zip(counts).Sum(layer => layer.First * layer.Second) / counts.Sum()).ShouldBe(sparsity, 1e-12);
            ratios.ShouldAllBe(ratio => ratio <= 0.998);
            (ratios[0] <= ratios[2] && ratios[2] <= ratios[1] && ratios[1] <= ratios[3]).ShouldBeTrue();
        }

        ExponentMaps.Ratios(alphas, counts, 0.6, 0).ShouldAllBe(ratio => Math.Abs(ratio - 0.6) < 1e-15);
        ExponentMaps.Ratios([3, 3, 3, 3], counts, 0.6, 0.3).ShouldAllBe(ratio => Math.Abs(ratio - 0.6) < 1e-15);
    }

    [Fact]
    public void Zero_eigenvalues_are_left_out_and_flat_spectra_are_flagged()
    {
        double[] values = [0, 0, 1, 2, 3, 5, 8];
        HillFit.Of(values, TailStart.Median).ShouldBe(HillFit.Of(values[2..], TailStart.Median));
        HillFit.Of([1, 1, 1, 1 + 1e-9], TailStart.Median).IsFlat.ShouldBeTrue();
        Should.Throw<ArgumentException>(() => HillFit.Of([0, 0, 0], TailStart.Median)).Message.ShouldContain("positive");
    }

    private static Tensor Gaussian(long m, long n) => randn([m, n], dtype: float64, generator: new Generator(11));
}
