using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Data;

/// <summary>What goes through a model at once, and what it is measured against.</summary>
/// <param name="Input">Token ids [batch, length] int64, or features [batch, …]. Owned by the batch.</param>
/// <param name="Target">Class ids int64 (-100 where nothing is scored), or real values; null when there is nothing to measure against.</param>
public sealed record Batch(Tensor Input, Tensor? Target) : IDisposable
{
    /// <summary>Marks a position that is not scored.</summary>
    public const long Ignored = -100;

    /// <summary>Of how many things <see cref="LossOf"/> is the mean: scored positions, or samples.</summary>
    public long LossCount => Target is { } target && target.dtype == int64 ? Scored(target) : Input.shape[0];

    /// <summary>Mean cross-entropy of outputs [batch, …, classes] against class ids, or mean squared error against real values.</summary>
    /// <exception cref="InvalidOperationException">The batch has no target.</exception>
    public Tensor LossOf(Tensor output)
    {
        var target = Target ?? throw new InvalidOperationException("the batch has no target, so there is no loss; give the data a 'target' or override Loss");
        if (target.dtype != int64)
        {
            return nn.functional.mse_loss(output, target);
        }

        using var scores = output.reshape(-1, output.shape[^1]);
        using var classes = target.reshape(-1);
        return nn.functional.cross_entropy(scores, classes, ignore_index: Ignored);
    }

    /// <summary>How many class ids are scored.</summary>
    internal static long Scored(Tensor classes)
    {
        using var scope = NewDisposeScope();
        return classes.ne(Ignored).sum().item<long>();
    }

    /// <summary>The batch on another device; this one is disposed when it had to be copied.</summary>
    public Batch To(Device device)
    {
        if (Input.device_type == device.type)
        {
            return this;
        }

        using (this)
        {
            return new(Input.to(device), Target?.to(device));
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Input.Dispose();
        Target?.Dispose();
    }
}
