using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests;

/// <summary>Comparisons of tensors that say how far apart they are.</summary>
internal static class Compare
{
    /// <summary>max |a − b| ≤ tolerance · max |b|.</summary>
    public static void ShouldBeNear(this Tensor actual, Tensor expected, double tolerance)
    {
        using var scope = NewDisposeScope();
        actual.shape.ShouldBe(expected.shape);
        if (expected.numel() == 0)
        {
            return;
        }

        double scale = expected.to(float64).abs().max().item<double>();
        double distance = (actual.to(float64) - expected.to(float64)).abs().max().item<double>();
        distance.ShouldBeLessThanOrEqualTo(tolerance * (scale > 0 ? scale : 1));
    }

    public static void ShouldBeNear(this double[] actual, Tensor expected, double tolerance)
    {
        using var values = tensor(actual);
        values.ShouldBeNear(expected, tolerance);
    }

    public static void ShouldBeNear(this double actual, double expected, double tolerance) =>
        Math.Abs(actual - expected).ShouldBeLessThanOrEqualTo(tolerance * Math.Max(Math.Abs(expected), double.Epsilon), $"{actual} is not near {expected}");

    /// <summary>‖x‖_F.</summary>
    public static double Norm(Tensor x) => x.to(float64).square().sum().sqrt().item<double>();

    /// <summary>The same bytes.</summary>
    public static bool SameBits(Tensor a, Tensor b)
    {
        using var scope = NewDisposeScope();
        return a.dtype == b.dtype && a.shape.SequenceEqual(b.shape) && a.contiguous().bytes.SequenceEqual(b.contiguous().bytes);
    }
}
