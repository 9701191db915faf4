using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>What is asked of every matrix before and after a method works on it.</summary>
public static class MatrixChecks
{
    /// <summary>Refuses a tensor that holds NaN or infinity.</summary>
    /// <param name="tensor">Any shape, floating point.</param>
    /// <param name="name">What the tensor is, for the message.</param>
    /// <exception cref="InvalidOperationException">It holds NaN or infinity.</exception>
    public static void RequireFinite(Tensor tensor, string name)
    {
        if (!IsFinite(tensor))
        {
            using var scope = NewDisposeScope();
            throw new InvalidOperationException($"{name} holds {(tensor.isnan().any().item<bool>() ? "NaN" : "infinity")}");
        }
    }

    /// <summary>Whether no value is NaN or infinity; takes little memory beside the tensor.</summary>
    /// <param name="tensor">Any shape, floating point.</param>
    public static bool IsFinite(Tensor tensor)
    {
        if (tensor.dim() == 0)
        {
            using var scope = NewDisposeScope();
            return tensor.isfinite().item<bool>();
        }

        foreach (var (first, count) in RowBlocks.Of(tensor.shape[0], tensor.numel() / Math.Max(1, tensor.shape[0])))
        {
            using var scope = NewDisposeScope();
            if (!tensor.narrow(0, first, count).isfinite().all().item<bool>())
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>‖W − W'‖_F / ‖W‖_F in float64, row block by row block; 0 when both are zero, infinity when only W is.</summary>
    /// <param name="exact">W.</param>
    /// <param name="approximation">W', of the same shape.</param>
    public static double RelativeError(Expression exact, Expression approximation) =>
        RelativeError(exact.MaterializeBlocks(RowBlocks.Height(exact.Columns)), approximation.MaterializeBlocks(RowBlocks.Height(exact.Columns)));

    /// <inheritdoc cref="RelativeError(Expression, Expression)"/>
    /// <param name="exact">The blocks of W; each is disposed.</param>
    /// <param name="approximation">The blocks of W', as high as those of W; each is disposed.</param>
    public static double RelativeError(IEnumerable<Tensor> exact, IEnumerable<Tensor> approximation)
    {
        double difference = 0;
        double whole = 0;
        foreach (var (block, other) in exact.Zip(approximation))
        {
            using var scope = NewDisposeScope();
            using (block)
            using (other)
            {
                var wide = block.to(float64, copy: true).reshape(-1);
                whole += wide.dot(wide).item<double>();
                wide.sub_(other.reshape(-1));
                difference += wide.dot(wide).item<double>();
            }
        }

        return difference == 0 ? 0 : Math.Sqrt(difference / whole);
    }

    /// <summary>‖W − W'‖_F / ‖W‖_F in float64; 0 when both are zero, infinity when only W is.</summary>
    /// <param name="exact">W [rows, columns].</param>
    /// <param name="approximation">W' [rows, columns].</param>
    public static double RelativeError(Tensor exact, Tensor approximation) => Math.Sqrt(WeightedError(exact, approximation, null));

    /// <summary>Σ F (W − W')² / Σ F W² in float64; 0 when both sums are zero, infinity when only the second is.</summary>
    /// <param name="exact">W [rows, columns].</param>
    /// <param name="approximation">W' [rows, columns].</param>
    /// <param name="weights">F [rows, columns], not negative; null for ones.</param>
    public static double WeightedError(Tensor exact, Tensor approximation, Tensor? weights)
    {
        double difference = 0;
        double whole = 0;
        foreach (var (first, count) in RowBlocks.Of(exact.shape[0], exact.shape[1]))
        {
            using var scope = NewDisposeScope();
            var w = exact.narrow(0, first, count).to(float64);
            var f = weights?.narrow(0, first, count).to(float64) ?? ones(1, dtype: float64, device: w.device);
            difference += (f * (w - approximation.narrow(0, first, count)).square()).sum().item<double>();
            whole += (f * w.square()).sum().item<double>();
        }

        return difference == 0 ? 0 : difference / whole;
    }
}
