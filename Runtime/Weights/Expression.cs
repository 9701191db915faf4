using System.Text.Json.Nodes;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>A weight matrix [rows, columns] as the sum, product or grid that a method left: the one form in which compressed weights are run, stored and counted.</summary>
/// <remarks>An expression owns its tensors and disposes them. It is immutable.</remarks>
public abstract class Expression : IDisposable
{
    /// <summary>Rows: output features.</summary>
    public abstract long Rows { get; }

    /// <summary>Columns: input features.</summary>
    public abstract long Columns { get; }

    /// <summary>Exact bytes of all stored leaves, scales and tables included.</summary>
    public long Bytes => Leaves().Sum(leaf => leaf.Tensor.numel() * leaf.Tensor.element_size());

    /// <summary>The name of the form in a manifest: <c>dense</c>, <c>product</c>, …</summary>
    public abstract string Form { get; }

    /// <summary>The forms this one is made of.</summary>
    public virtual IReadOnlyList<Expression> Parts => [];

    /// <summary>Whether applying the form is multiplying by <see cref="Materialize"/>; otherwise only <see cref="Apply"/> does what the layer does.</summary>
    public virtual bool IsLinear => Parts.All(part => part.IsLinear);

    /// <summary>The dense matrix [rows, columns] in float32 (float64 when a leaf is float64). The caller owns it.</summary>
    public abstract Tensor Materialize();

    /// <summary><see cref="Materialize"/> in blocks of rows from top to bottom: where the form allows, never the whole matrix at once. Entries may differ from it in their last digits.</summary>
    /// <param name="height">Rows of every block but the last.</param>
    /// <returns>Blocks in float32 (float64 when a leaf is float64); the caller owns each.</returns>
    public virtual IEnumerable<Tensor> MaterializeBlocks(long height)
    {
        using var whole = Materialize();
        for (long first = 0; first < Rows; first += height)
        {
            yield return whole.narrow(0, first, Math.Min(height, Rows - first));
        }
    }

    /// <summary>What the layer computes before its bias: the product x Wᵀ, without forming W where the form allows.</summary>
    /// <param name="x">Inputs [..., columns].</param>
    /// <returns>Outputs [..., rows]; the caller owns them.</returns>
    public abstract Tensor Apply(Tensor x);

    /// <summary>The stored tensors by their name inside the expression (<c>left.codes</c>); still owned by the expression.</summary>
    public abstract IEnumerable<(string Name, Tensor Tensor)> Leaves();

    /// <summary>What a reader needs beside the leaves: form, sizes and parts. Keys are sorted; no tensor data.</summary>
    public abstract JsonObject Describe();

    /// <summary>The same expression with each dense matrix rewritten; used to quantise factors in place.</summary>
    /// <param name="rewrite">Gets a dense matrix (still owned by this expression) and returns a new form with leaves of its own.</param>
    /// <returns>A new expression; leaves that stay as they are get a second handle (<c>alias</c>), so both expressions can be disposed.</returns>
    public abstract Expression RewriteDense(Func<Dense, Expression> rewrite);

    /// <summary>Rebuilds an expression from its description and leaves.</summary>
    /// <param name="description">What <see cref="Describe"/> returned.</param>
    /// <param name="leaf">Gives the tensor of a leaf by name; the expression takes ownership.</param>
    /// <exception cref="InvalidDataException">The description is damaged or the leaves do not fit it.</exception>
    public static Expression Read(JsonObject description, Func<string, Tensor> leaf) => ExpressionReader.Read(description, leaf, "");

    /// <summary>The same expression with leaves of its own on a device.</summary>
    /// <param name="device">Where the leaves go.</param>
    /// <returns>A new expression; the caller owns it.</returns>
    public Expression To(Device device)
    {
        var leaves = Leaves().ToDictionary(leaf => leaf.Name, leaf => leaf.Tensor, StringComparer.Ordinal);
        return Read(Describe(), name => leaves[name].to(device, copy: true));
    }

    /// <summary>The leaves of this form as a part of another one.</summary>
    internal IEnumerable<(string Name, Tensor Tensor)> LeavesOf(string part) => Leaves().Select(leaf => ($"{part}.{leaf.Name}", leaf.Tensor));

    /// <summary>The parts with each dense matrix rewritten; none is left behind when one fails.</summary>
    private protected Expression[] RewriteParts(Func<Dense, Expression> rewrite)
    {
        var rewritten = new List<Expression>();
        try
        {
            foreach (var part in Parts)
            {
                rewritten.Add(part.RewriteDense(rewrite));
            }

            return [.. rewritten];
        }
        catch
        {
            rewritten.ForEach(part => part.Dispose());
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases the leaves.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing)
        {
            foreach (var part in Parts)
            {
                part.Dispose();
            }
        }
    }
}
