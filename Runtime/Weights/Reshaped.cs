using System.Text.Json.Nodes;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>A matrix stored in another shape of as many values, row by row: blocks that run across the ends of rows are rows of the inner form.</summary>
public sealed class Reshaped : Expression
{
    /// <summary>A reshaped form.</summary>
    /// <param name="inner">Any shape of rows · columns values; the expression takes ownership.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    /// <exception cref="ArgumentException">The shapes hold different numbers of values.</exception>
    public Reshaped(Expression inner, long rows, long columns)
    {
        if (rows < 1 || columns < 1 || (Int128)rows * columns != (Int128)inner.Rows * inner.Columns)
        {
            throw new ArgumentException($"{inner.Rows} × {inner.Columns} values are no weight of {rows} × {columns}", nameof(inner));
        }

        Inner = inner;
        Rows = rows;
        Columns = columns;
    }

    /// <summary>What is reshaped.</summary>
    public Expression Inner { get; }

    /// <inheritdoc/>
    public override long Rows { get; }

    /// <inheritdoc/>
    public override long Columns { get; }

    /// <inheritdoc/>
    public override string Form => "reshaped";

    /// <inheritdoc/>
    public override IReadOnlyList<Expression> Parts => [Inner];

    /// <inheritdoc/>
    public override Tensor Materialize()
    {
        using var scope = NewDisposeScope();
        return Inner.Materialize().reshape(Rows, Columns).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Apply(Tensor x)
    {
        using var scope = NewDisposeScope();
        return nn.functional.linear(x, Materialize().to(x.dtype)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> Leaves() => Inner.LeavesOf("inner");

    /// <inheritdoc/>
    public override JsonObject Describe() => new() { ["columns"] = Columns, ["form"] = Form, ["inner"] = Inner.Describe(), ["rows"] = Rows };

    /// <inheritdoc/>
    public override Expression RewriteDense(Func<Dense, Expression> rewrite) => new Reshaped(Inner.RewriteDense(rewrite), Rows, Columns);

    internal static Reshaped Read(DescriptionReader description)
    {
        var (rows, columns) = (description.Rows, description.Columns);
        return description.Owning(leaves => new Reshaped(leaves.Part("inner"), rows, columns));
    }
}
