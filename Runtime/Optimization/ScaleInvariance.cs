using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Optimization;

/// <summary>The test of AdamP and SGDP (arXiv:2006.08217, equation 11 and official code) for weights whose length does not matter to the loss, and the removal of what only lengthens them.</summary>
public static class ScaleInvariance
{
    /// <summary>What of a weight is scale-invariant, as the gradient says: orthogonal to each channel, or to the whole.</summary>
    /// <param name="weight">w of any rank; vectors never are.</param>
    /// <param name="gradient">The raw gradient.</param>
    /// <param name="delta">The cosine must be below this over the root of the length.</param>
    /// <param name="epsilon">Floor of the norms.</param>
    public static InvariantView Find(Tensor weight, Tensor gradient, double delta, double epsilon)
    {
        if (weight.dim() < 2)
        {
            return InvariantView.None;
        }

        foreach (var view in new[] { InvariantView.Channels, InvariantView.Whole })
        {
            using var scope = NewDisposeScope();
            var (w, g) = (In(view, weight), In(view, gradient));
            var cosine = (w * g).sum(1).abs() / (Norm(g).clamp_min(epsilon) * Norm(w).clamp_min(epsilon));
            if (cosine.max().to(float64).item<double>() < delta / Math.Sqrt(w.shape[1]))
            {
                return view;
            }
        }

        return InvariantView.None;
    }

    /// <summary>u − n ⟨n, u⟩ with n = w / (‖w‖ + ε), in each row of the view; the update itself for <see cref="InvariantView.None"/>. In the caller's dispose scope.</summary>
    public static Tensor Project(Tensor weight, Tensor update, InvariantView view, double epsilon)
    {
        if (view == InvariantView.None)
        {
            return update;
        }

        using var scope = NewDisposeScope();
        var (w, u) = (In(view, weight), In(view, update));
        var normal = w / (Norm(w).unsqueeze(1) + epsilon);
        return (u - (normal * (normal * u).sum(1, keepdim: true))).reshape(update.shape).to(update.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>Dot products of half precision are taken in float32.</summary>
    private static Tensor In(InvariantView view, Tensor tensor) =>
        (tensor.dtype == float64 ? tensor : tensor.to(float32)).reshape(view == InvariantView.Channels ? tensor.shape[0] : 1, -1);

    private static Tensor Norm(Tensor rows) => rows.square().sum(1).sqrt();
}

/// <summary>The part of a weight whose length does not matter.</summary>
public enum InvariantView
{
    /// <summary>None.</summary>
    None,

    /// <summary>Each slice along the first dimension.</summary>
    Channels,

    /// <summary>The whole tensor.</summary>
    Whole,
}
