using PipelineDsl.Runtime.Optimization;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>The compressed weight of one layer while it is trained.</summary>
/// <remarks>
/// The engine calls, in each step: <see cref="Soft"/> (and reads <see cref="Bias"/>), <see cref="Penalty"/>, then moves the tensors of <see cref="Groups"/>,
/// then <see cref="AfterStep"/>; at checkpoints <see cref="Harden"/>, of whose results the best one is kept. All calls come from one thread, inside a dispose scope;
/// the last two without gradients. Tensors are on the CPU, in a dtype of the method's choice.
/// </remarks>
public abstract class TrainableWeight : IDisposable
{
    /// <summary>What is trained; the same groups and tensors at every call.</summary>
    public abstract IReadOnlyList<TrainableGroup> Groups { get; }

    /// <summary>A trained bias [rows], itself a tensor of <see cref="Groups"/> or computed from some; null where the layer's bias stays as it is.</summary>
    public virtual Tensor? Bias => null;

    /// <summary>The weight that the forward pass uses, as a differentiable function of the trained tensors: [rows, columns] of the layer, floating point.</summary>
    /// <remarks>Rounding passes gradients straight through: <c>x + (x.round() - x).detach()</c>. The caller's dispose scope owns it.</remarks>
    public abstract Tensor Soft();

    /// <summary>A scalar that is added to the loss, differentiable; null for none. Called once a step, after <see cref="Soft"/>.</summary>
    /// <param name="loss">The loss of this step without it.</param>
    public virtual Tensor? Penalty(double loss) => null;

    /// <summary>Projects, freezes or cools after the trained tensors were moved. Tensors are changed in place.</summary>
    /// <param name="step">Steps done, from 1.</param>
    /// <param name="steps">Steps in all.</param>
    public virtual void AfterStep(int step, int steps)
    {
    }

    /// <summary>The weight as it would be stored now: every choice made, every scale rounded to its stored dtype before codes are computed. The caller owns it.</summary>
    public abstract Expression Harden();

    /// <summary>What the method reports about the layer after the last step.</summary>
    public virtual IReadOnlyDictionary<string, double> Facts => new Dictionary<string, double>();

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases the tensors.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing)
        {
            foreach (var tensor in Groups.SelectMany(group => group.Tensors))
            {
                tensor.Dispose();
            }
        }
    }
}
