using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Allocation;

/// <summary>How the errors of samples combine.</summary>
public enum DistortionReduction
{
    /// <summary>Their mean, which adds up over layers to first order.</summary>
    Mean,

    /// <summary>The largest: a heuristic, since maxima do not add up.</summary>
    WorstCase,
}

/// <summary>Rate-distortion curves of magnitude pruning (arXiv:2308.10438): the error of the network's output when one layer alone is pruned.</summary>
/// <param name="weights">The layers' weights; pruned in place and restored. Biases are not part of it.</param>
/// <param name="resolution">S: the ratios are 0/S to S/S.</param>
/// <param name="forward">The network's output [samples, …] with the weights as they are; the caller disposes it.</param>
public sealed class DistortionCurve(IReadOnlyList<Tensor> weights, int resolution, Func<Tensor> forward)
{
    /// <summary>The number of weights of n that ratio step d of S removes: floor(d n / S).</summary>
    public static long Pruned(long count, int step, int resolution) => step * count / resolution;

    /// <summary>The options of each layer [S + 1]: cost = kept weights, distortion = ‖Y_i − Ŷ_i‖² / outputs over the samples i.</summary>
    public IReadOnlyList<IReadOnlyList<AllocationOption>> Measure(DistortionReduction reduction)
    {
        using var noGradients = no_grad();
        using var reference = forward();
        return [.. weights.Select(weight => Curve(weight, reference, reduction))];
    }

    /// <summary>The distortion when every layer is pruned to its step at once.</summary>
    public double Joint(IReadOnlyList<int> steps, DistortionReduction reduction)
    {
        using var noGradients = no_grad();
        using var scope = NewDisposeScope();
        var reference = forward();
        var originals = weights.Select(weight => weight.clone()).ToList();
        try
        {
            for (int layer = 0; layer < weights.Count; layer++)
            {
                weights[layer].masked_fill_(Mask(originals[layer], Pruned(originals[layer].numel(), steps[layer], resolution)), 0);
            }

            return Distortion(reference, reduction);
        }
        finally
        {
            for (int layer = 0; layer < weights.Count; layer++)
            {
                weights[layer].copy_(originals[layer]);
            }
        }
    }

    /// <summary>The weights to remove, smallest magnitude first, of equal ones the lower flat index first: bool, of the weight's shape; the caller owns it.</summary>
    public static Tensor Mask(Tensor weight, long count)
    {
        using var scope = NewDisposeScope();
        var order = weight.abs().reshape(-1).sort(dim: 0, descending: false, stable: true).Indices;
        var mask = zeros(weight.numel(), dtype: @bool, device: weight.device);
        return mask.index_fill_(0, order.narrow(0, 0, count), true).reshape(weight.shape).MoveToOuterDisposeScope();
    }

    private AllocationOption[] Curve(Tensor weight, Tensor reference, DistortionReduction reduction)
    {
        long count = weight.numel();
        var curve = new AllocationOption[resolution + 1];
        using var original = weight.clone();
        curve[0] = new(count, 0);
        try
        {
            for (int step = 1; step <= resolution; step++)
            {
                using var mask = Mask(original, Pruned(count, step, resolution));
                weight.copy_(original).masked_fill_(mask, 0);
                curve[step] = new(count - Pruned(count, step, resolution), Distortion(reference, reduction));
            }
        }
        finally
        {
            weight.copy_(original);
        }

        return curve;
    }

    private double Distortion(Tensor reference, DistortionReduction reduction)
    {
        using var scope = NewDisposeScope();
        var errors = (reference - forward()).to(float64).reshape(reference.shape[0], -1).square().mean([1]);
        return (reduction == DistortionReduction.Mean ? errors.mean() : errors.max()).item<double>();
    }
}
