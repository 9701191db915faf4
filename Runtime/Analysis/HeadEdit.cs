using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Analysis;

/// <summary>Which circuit of a head an edit scales a component of.</summary>
public enum HeadCircuit
{
    /// <summary>What the head writes; W_O is edited.</summary>
    Ov,

    /// <summary>What the head's queries read; W_Q is edited.</summary>
    Qk,
}

/// <summary>One singular component of a head scaled in the head's weights, exactly; all others stay as they are (arXiv:2406.09519, weight edits).</summary>
/// <param name="Edited">The head as it is to be stored, in the dtypes and shapes of before; one weight is new and belongs to the caller's dispose scope.</param>
/// <param name="Circuit">Which circuit.</param>
/// <param name="Component">The component's number, by falling singular value.</param>
/// <param name="Alpha">The new factor on its singular value: 1 changes nothing, 0 switches it off.</param>
/// <param name="Change">‖W' − W‖_F of the edited weight.</param>
public sealed record HeadEdit(AttentionHead Edited, HeadCircuit Circuit, int Component, double Alpha, double Change)
{
    /// <summary>Scales a component of OV: W_O' = W_O − (1 − α) (W_O v_i) v_iᵀ, so that OV' = OV + (α − 1) s_i u_i v_iᵀ.</summary>
    /// <param name="head">The head, with or without its norm folded in; components are those of the head as given.</param>
    /// <param name="component">i, by falling singular value of OV.</param>
    /// <param name="alpha">α.</param>
    /// <exception cref="ArgumentOutOfRangeException">The head has no such component, or α is no number.</exception>
    public static HeadEdit ScaleWriter(AttentionHead head, int component, double alpha)
    {
        using var scope = NewDisposeScope();
        var direction = Direction(head.OvCircuit(), component, alpha, writing: true);
        var stored = head.Fold?.Stored ?? head;
        var weight = stored.Output.detach().to(float64);

        // v_i of a centred W_O is orthogonal to the ones, so that the same change serves the weight that is not centred.
        var change = weight.mm(direction).mm(direction.mT) * (alpha - 1);
        return new(stored with { Output = Store(weight + change, stored.Output, alpha) }, HeadCircuit.Ov, component, alpha, Size(change));
    }

    /// <summary>Scales a component of QK: W_Q' = W_Q − (1 − α) a_j (a_jᵀ W_Q). W_K, which other heads may share, is untouched.</summary>
    /// <param name="head">The head, with or without its norm folded in; components are those of the head as given.</param>
    /// <param name="component">j, by falling singular value of QK.</param>
    /// <param name="alpha">α.</param>
    /// <exception cref="ArgumentOutOfRangeException">The head has no such component, or α is no number.</exception>
    /// <exception cref="InvalidOperationException">The folded norm has a gain of zero, where the stored weight is not what the head reads.</exception>
    public static HeadEdit ScaleReader(AttentionHead head, int component, double alpha)
    {
        using var scope = NewDisposeScope();
        var direction = Direction(head.QkCircuit(), component, alpha, writing: false);
        var stored = head.Fold?.Stored ?? head;
        var change = direction.mm(direction.mT.mm(head.Query.detach().to(float64))) * (alpha - 1);
        if (head.Fold is { } fold)
        {
            var gain = fold.Gain.detach().to(float64);
            if ((gain == 0).any().item<bool>())
            {
                throw new InvalidOperationException($"the norm before head {head.Index} has a gain of zero: an edit of what is read cannot be undone through it");
            }

            change /= gain.unsqueeze(1);
        }

        var weight = stored.Query.detach().to(float64);
        return new(stored with { Query = Store(weight + change, stored.Query, alpha) }, HeadCircuit.Qk, component, alpha, Size(change));
    }

    private static Tensor Direction(Circuit circuit, int component, double alpha, bool writing)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(component);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(component, circuit.Values.Length);
        return double.IsFinite(alpha)
            ? (writing ? circuit.Writing : circuit.Reading).narrow(1, component, 1)
            : throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "the factor is a finite number");
    }

    /// <summary>The edited weight in the dtype of before; the very numbers of before for α = 1.</summary>
    private static Tensor Store(Tensor edited, Tensor before, double alpha) =>
        (alpha == 1 ? before.detach().clone() : edited.to(before.dtype, copy: true)).MoveToOuterDisposeScope();

    private static double Size(Tensor change) => change.norm().item<double>();
}
