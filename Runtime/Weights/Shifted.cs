using System.Text.Json.Nodes;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>W = inner + 1 rowᵀ: a weight whose rows share one mean, such as a table in few dimensions around it.</summary>
public sealed class Shifted : Expression
{
    /// <summary>A shifted form.</summary>
    /// <param name="inner">[rows, columns]; the expression takes ownership.</param>
    /// <param name="row">What is added to every row [columns]; the expression takes ownership.</param>
    public Shifted(Expression inner, Tensor row)
    {
        if (!row.shape.SequenceEqual([inner.Columns]))
        {
            throw new ArgumentException($"a row of [{string.Join(", ", row.shape)}] does not fit a weight of {inner.Rows} × {inner.Columns}", nameof(row));
        }

        Inner = inner;
        Row = row.DetachFromDisposeScope();
    }

    /// <summary>What is shifted.</summary>
    public Expression Inner { get; }

    /// <summary>What is added to every row [columns], owned by this expression.</summary>
    public Tensor Row { get; }

    /// <inheritdoc/>
    public override long Rows => Inner.Rows;

    /// <inheritdoc/>
    public override long Columns => Inner.Columns;

    /// <inheritdoc/>
    public override string Form => "shifted";

    /// <inheritdoc/>
    public override IReadOnlyList<Expression> Parts => [Inner];

    /// <inheritdoc/>
    public override Tensor Materialize()
    {
        using var scope = NewDisposeScope();
        var (matrix, row) = Dtypes.Promote(Inner.Materialize(), Row);
        return (matrix + row).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Apply(Tensor x)
    {
        using var scope = NewDisposeScope();
        return (Inner.Apply(x) + x.matmul(Row.to(x.dtype)).unsqueeze(-1)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> Leaves() => [.. Inner.LeavesOf("inner"), ("row", Row)];

    /// <inheritdoc/>
    public override JsonObject Describe() => new() { ["columns"] = Columns, ["form"] = Form, ["inner"] = Inner.Describe(), ["rows"] = Rows };

    /// <inheritdoc/>
    public override Expression RewriteDense(Func<Dense, Expression> rewrite) => new Shifted(Inner.RewriteDense(rewrite), Row.alias());

    internal static Shifted Read(DescriptionReader description) =>
        description.Owning(leaves => new Shifted(leaves.Part("inner"), leaves.Tensor("row", [description.Columns], Dtypes.Real)));

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Row.Dispose();
        }

        base.Dispose(disposing);
    }
}
