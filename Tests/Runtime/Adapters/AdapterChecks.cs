using PipelineDsl.Runtime.Adapters;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Adapters;

/// <summary>What holds for every adapter.</summary>
internal static class AdapterChecks
{
    /// <summary>Normal numbers in float64.</summary>
    public static Tensor Random(int seed, params long[] shape)
    {
        using var generator = new Generator((ulong)seed);
        return randn(shape, dtype: float64, generator: generator);
    }

    /// <summary>Writes values into trained parameters, in their order.</summary>
    public static Adapter With(this Adapter adapter, params Tensor[] values)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        adapter.Parameters.Count.ShouldBe(values.Length);
        foreach (var ((_, parameter), value) in adapter.Parameters.Zip(values))
        {
            parameter.copy_(value.reshape(parameter.shape));
        }

        return adapter;
    }

    /// <summary>Moves every parameter somewhere else.</summary>
    public static Adapter Moved(this Adapter adapter, double size = 0.1, int seed = 1)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var generator = new Generator((ulong)seed);
        foreach (var (_, parameter) in adapter.Parameters)
        {
            parameter.add_(randn(parameter.shape, dtype: parameter.dtype, generator: generator).mul(size));
        }

        return adapter;
    }

    /// <summary>The output with a bias.</summary>
    public static Tensor Output(this Adapter adapter, Tensor x, Tensor? bias)
    {
        using var noGradients = no_grad();
        var y = adapter.Forward(x);
        return bias is null ? y : y + adapter.Operation.OverUnits(bias, y);
    }

    /// <summary>The gradients of all parameters for a gradient of the output.</summary>
    public static IReadOnlyDictionary<string, Tensor> Gradients(this Adapter adapter, Tensor x, Tensor outputGradient)
    {
        using (var y = adapter.Forward(x))
        {
            y.backward([outputGradient]);
        }

        return adapter.Parameters.ToDictionary(parameter => parameter.Name, parameter => parameter.Value.grad!.detach());
    }

    /// <summary>The merged weight computes what the adapter does, and gives its base back.</summary>
    public static void ShouldMerge(this Adapter adapter, Tensor x, double tolerance = 1e-12, double restored = 1e-12)
    {
        using var scope = NewDisposeScope();
        var merged = adapter.Merge();
        adapter.Operation.Apply(x, merged).ShouldBeNear(adapter.Output(x, null), tolerance);
        adapter.Unmerge(merged).ShouldBeNear(adapter.BaseWeight, restored);
    }

    /// <summary>Finite differences of a weighted sum of the outputs agree with the gradients.</summary>
    public static void ShouldHaveTrueGradients(this Adapter adapter, Tensor x)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        Tensor weights;
        using (no_grad())
        {
            weights = randn(adapter.Forward(x).shape, dtype: float64, generator: generator);
        }

        var gradients = adapter.Gradients(x, weights);
        using var noGradients = no_grad();
        const double step = 1e-6;
        foreach (var (name, parameter) in adapter.Parameters)
        {
            var direction = randn(parameter.shape, dtype: float64, generator: generator);
            double expected = gradients[name].mul(direction).sum().item<double>();
            parameter.add_(direction, alpha: step);
            double above = adapter.Forward(x).mul(weights).sum().item<double>();
            parameter.add_(direction, alpha: -2 * step);
            double below = adapter.Forward(x).mul(weights).sum().item<double>();
            parameter.add_(direction, alpha: step);
            (Math.Abs(((above - below) / (2 * step)) - expected) / Math.Max(1, Math.Abs(expected))).ShouldBeLessThan(1e-6, name);
        }
    }
}
