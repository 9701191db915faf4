using System.Text.Json.Nodes;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>A matrix stored with its columns in another order: W[:, order[j]] = inner[:, j].</summary>
public sealed class Permuted : Expression
{
    /// <summary>A permuted form.</summary>
    /// <param name="inner">[rows, columns]; the expression takes ownership.</param>
    /// <param name="order">Where each column of <paramref name="inner"/> belongs [columns] int32, every index once; the expression takes ownership.</param>
    /// <exception cref="ArgumentException">The order is no permutation of the columns.</exception>
    public Permuted(Expression inner, Tensor order)
    {
        if (order.dtype != int32 || !order.shape.SequenceEqual([inner.Columns]) || !IsPermutation(order))
        {
            throw new ArgumentException($"the order is no permutation of {inner.Columns} columns", nameof(order));
        }

        Inner = inner;
        Order = order.DetachFromDisposeScope();
    }

    /// <summary>What is permuted.</summary>
    public Expression Inner { get; }

    /// <summary>Where each column of <see cref="Inner"/> belongs [columns] int32, owned by this expression.</summary>
    public Tensor Order { get; }

    /// <inheritdoc/>
    public override long Rows => Inner.Rows;

    /// <inheritdoc/>
    public override long Columns => Inner.Columns;

    /// <inheritdoc/>
    public override string Form => "permuted";

    /// <inheritdoc/>
    public override IReadOnlyList<Expression> Parts => [Inner];

    /// <inheritdoc/>
    public override Tensor Materialize()
    {
        using var scope = NewDisposeScope();
        return Inner.Materialize().index_select(1, Order.argsort()).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Apply(Tensor x)
    {
        using var scope = NewDisposeScope();
        return Inner.Apply(x.index_select(-1, Order.to(x.device))).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> Leaves() => [.. Inner.LeavesOf("inner"), ("order", Order)];

    /// <inheritdoc/>
    public override JsonObject Describe() => new() { ["columns"] = Columns, ["form"] = Form, ["inner"] = Inner.Describe(), ["rows"] = Rows };

    /// <inheritdoc/>
    public override Expression RewriteDense(Func<Dense, Expression> rewrite) => new Permuted(Inner.RewriteDense(rewrite), Order.alias());

    internal static Permuted Read(DescriptionReader description) =>
        description.Owning(leaves => new Permuted(leaves.Part("inner"), leaves.Tensor("order", [description.Columns], int32)));

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Order.Dispose();
        }

        base.Dispose(disposing);
    }

    private static bool IsPermutation(Tensor order)
    {
        using var scope = NewDisposeScope();
        return order.sort().Values.eq(arange(order.numel(), dtype: int32)).all().item<bool>();
    }
}
