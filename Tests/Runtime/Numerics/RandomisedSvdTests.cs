using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Tests.Formats;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Numerics;

public sealed class RandomisedSvdTests
{
    private const int Rank = 12;

    public static TheoryData<double, SvdAccuracy, bool> Cases => new MatrixTheoryData<double, SvdAccuracy, bool>([-3, -2, -1, -0.5, -0.3, -0.1], Enum.GetValues<SvdAccuracy>(), [true, false]);

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_certificate_is_never_below_the_true_excess(double exponent, SvdAccuracy accuracy, bool tall)
    {
        using var scope = NewDisposeScope();
        var (matrix, optimum) = Matrix(exponent, tall);
        for (long seed = 0; seed < 3; seed++)
        {
            var found = RandomisedSvd.Of(matrix, Rank, accuracy, seed);
            double loss = (matrix - found.Vectors.mm(found.Vectors.mT.mm(matrix))).square().sum().item<double>();
            double energy = matrix.square().sum().item<double>();
            found.Tail.ShouldBeNear(loss, (accuracy == SvdAccuracy.Fast ? Math.ScaleB(energy, -22) : 1e-13) / optimum + 1e-10);
            double excess = (loss - optimum) / optimum;
            double rounding = 1e-13 / optimum;
            excess.ShouldBeGreaterThan(-rounding);
            found.CertifiedExcess!.Value.ShouldBeGreaterThanOrEqualTo(excess - rounding);
            found.Vectors.mT.mm(found.Vectors).ShouldBeNear(eye(Rank, dtype: float64), 1e-12);
        }
    }

    [Theory]
    [InlineData(-1, SvdAccuracy.Fast)]
    [InlineData(-1, SvdAccuracy.Tight)]
    [InlineData(-0.5, SvdAccuracy.Fast)]
    [InlineData(-0.5, SvdAccuracy.Tight)]
    public void A_decaying_spectrum_is_certified_within_the_tolerance(double exponent, SvdAccuracy accuracy)
    {
        using var scope = NewDisposeScope();
        RandomisedSvd.Of(Matrix(exponent, tall: true).Matrix, Rank, accuracy, 0).CertifiedExcess!.Value.ShouldBeLessThanOrEqualTo(RandomisedSvd.Tolerance(accuracy));
    }

    [Fact]
    public void A_flat_spectrum_is_not_certified()
    {
        using var scope = NewDisposeScope();
        var flat = linalg.qr(randn(300, 300, dtype: float64, generator: new Generator(5))).Q;
        RandomisedSvd.Of(flat, Rank, SvdAccuracy.Tight, 0).CertifiedExcess!.Value.ShouldBeGreaterThan(1e-6);
    }

    [Fact]
    public void A_matrix_without_a_tail_is_not_certified_and_falls_back()
    {
        using var scope = NewDisposeScope();
        var thin = randn(1024, 4, dtype: float64, generator: new Generator(5)).mm(randn(4, 1030, dtype: float64, generator: new Generator(6)));
        var found = LeftSvd.Leading(thin, Rank, SvdAccuracy.Fast, 0);
        found.CertifiedExcess.ShouldBeNull();
        found.Values.Length.ShouldBe(1024);
    }

    [Fact]
    public void Large_sides_are_iterated_for_few_vectors_only()
    {
        LeftSvd.IsIterated(4096, 4096, 64, SvdAccuracy.Tight).ShouldBeTrue();
        LeftSvd.IsIterated(4096, 1024, 64, SvdAccuracy.Fast).ShouldBeTrue();
        LeftSvd.IsIterated(4096, 1024, 64, SvdAccuracy.Tight).ShouldBeFalse();
        LeftSvd.IsIterated(4096, 4096, 1024, SvdAccuracy.Fast).ShouldBeFalse();
        LeftSvd.IsIterated(256, 8192, 4, SvdAccuracy.Fast).ShouldBeFalse();
    }

    [Fact]
    public void Leading_vectors_agree_with_the_complete_decomposition_in_the_gauge()
    {
        using var scope = NewDisposeScope();
        var matrix = randn(1024, 40, dtype: float64, generator: new Generator(5)) * linspace(8, 4, 40, dtype: float64);
        matrix = matrix.mm(randn(40, 1024, dtype: float64, generator: new Generator(6))) + randn(1024, 1024, dtype: float64, generator: new Generator(7));
        var iterated = Projection.Leading(matrix, matrix, Rank, SvdAccuracy.Fast, 0);
        var complete = Projection.Of(matrix, matrix, SvdRoute.Gram);
        iterated.Spectrum.Length.ShouldBe(Rank);
        double excess = iterated.Loss(Slice.Top, Rank) / complete.Loss(Slice.Top, Rank) - 1;
        excess.ShouldBeLessThanOrEqualTo(iterated.Basis.CertifiedExcess!.Value);
        (iterated.Energy(Slice.Top, Rank) + iterated.Loss(Slice.Top, Rank)).ShouldBeNear(matrix.square().sum().item<double>(), 1e-12);
        iterated.Basis.Vectors.gather(0, iterated.Basis.Vectors.abs().argmax(0, keepdim: true)).min().item<double>().ShouldBeGreaterThan(0);
    }

    [Theory]
    [InlineData(SvdAccuracy.Fast)]
    [InlineData(SvdAccuracy.Tight)]
    public void The_same_seed_gives_the_same_bits_and_leaves_nothing_alive(SvdAccuracy accuracy)
    {
        using var scope = NewDisposeScope();
        var matrix = Matrix(-1, tall: true).Matrix;
        var first = RandomisedSvd.Of(matrix, Rank, accuracy, 3);
        var second = RandomisedSvd.Of(matrix, Rank, accuracy, 3);
        Compare.SameBits(first.Vectors, second.Vectors).ShouldBeTrue();
        second.CertifiedExcess.ShouldBe(first.CertifiedExcess);
        TensorCount.GrowthOf(() => RandomisedSvd.Of(matrix, Rank, accuracy, 3).Vectors.Dispose()).ShouldBe(0);
    }

    private static (Tensor Matrix, double Optimum) Matrix(double exponent, bool tall)
    {
        var spectrum = Enumerable.Range(1, 260).Select(i => Math.Pow(i, exponent)).ToArray();
        var left = linalg.qr(randn(tall ? 340 : 260, 260, dtype: float64, generator: new Generator(1))).Q;
        var right = linalg.qr(randn(tall ? 260 : 340, 260, dtype: float64, generator: new Generator(2))).Q;
        return ((left * tensor(spectrum)).mm(right.mT), spectrum.Skip(Rank).Reverse().Sum(value => value * value));
    }
}
