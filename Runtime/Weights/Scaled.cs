using System.Text.Json.Nodes;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>W = factor · diag(r) · inner · diag(c): a weight whose outputs, inputs or all values are scaled.</summary>
public sealed class Scaled : Expression
{
    /// <summary>A scaled form.</summary>
    /// <param name="rowScales">r [rows], or null for ones; the expression takes ownership.</param>
    /// <param name="inner">[rows, columns]; the expression takes ownership.</param>
    /// <param name="columnScales">c [columns], or null for ones; the expression takes ownership.</param>
    /// <param name="factor">A number that costs no bytes, such as a LoRA layer's alpha / rank.</param>
    public Scaled(Tensor? rowScales, Expression inner, Tensor? columnScales, double factor = 1)
    {
        if ((rowScales is not null && !rowScales.shape.SequenceEqual([inner.Rows])) || (columnScales is not null && !columnScales.shape.SequenceEqual([inner.Columns])))
        {
            throw new ArgumentException($"scales do not fit a weight of {inner.Rows} × {inner.Columns}", nameof(inner));
        }

        if (!double.IsFinite(factor))
        {
            throw new ArgumentException($"a weight cannot be scaled by {factor}", nameof(factor));
        }

        RowScales = rowScales?.DetachFromDisposeScope();
        Inner = inner;
        ColumnScales = columnScales?.DetachFromDisposeScope();
        Factor = factor;
    }

    /// <summary>r [rows], owned by this expression, or null.</summary>
    public Tensor? RowScales { get; }

    /// <summary>What is scaled.</summary>
    public Expression Inner { get; }

    /// <summary>c [columns], owned by this expression, or null.</summary>
    public Tensor? ColumnScales { get; }

    /// <summary>What everything is multiplied by.</summary>
    public double Factor { get; }

    /// <inheritdoc/>
    public override long Rows => Inner.Rows;

    /// <inheritdoc/>
    public override long Columns => Inner.Columns;

    /// <inheritdoc/>
    public override string Form => "scaled";

    /// <inheritdoc/>
    public override IReadOnlyList<Expression> Parts => [Inner];

    /// <inheritdoc/>
    public override Tensor Materialize()
    {
        using var scope = NewDisposeScope();
        var matrix = Inner.Materialize();
        if (RowScales?.dtype == float64 || ColumnScales?.dtype == float64)
        {
            matrix = matrix.to(float64);
        }

        matrix = RowScales is null ? matrix : matrix * RowScales.to(matrix.dtype).unsqueeze(1);
        matrix = ColumnScales is null ? matrix : matrix * ColumnScales.to(matrix.dtype);
        return (matrix * Factor).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Apply(Tensor x)
    {
        using var scope = NewDisposeScope();
        var y = Inner.Apply(ColumnScales is null ? x : x * ColumnScales.to(x.dtype));
        y = RowScales is null ? y : y * RowScales.to(y.dtype);
        return (y * Factor).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> Leaves()
    {
        if (ColumnScales is not null)
        {
            yield return ("columnScales", ColumnScales);
        }

        foreach (var leaf in Inner.LeavesOf("inner"))
        {
            yield return leaf;
        }

        if (RowScales is not null)
        {
            yield return ("rowScales", RowScales);
        }
    }

    /// <inheritdoc/>
    public override JsonObject Describe() => new()
    {
        ["columns"] = Columns,
        ["factor"] = Factor,
        ["form"] = Form,
        ["inner"] = Inner.Describe(),
        ["rows"] = Rows,
        ["scalesColumns"] = ColumnScales is not null,
        ["scalesRows"] = RowScales is not null,
    };

    /// <inheritdoc/>
    public override Expression RewriteDense(Func<Dense, Expression> rewrite) =>
        new Scaled(RowScales?.alias(), Inner.RewriteDense(rewrite), ColumnScales?.alias(), Factor);

    internal static Scaled Read(DescriptionReader description) => description.Owning(leaves => new Scaled(
        description.Flag("scalesRows") ? leaves.Tensor("rowScales", [description.Rows], Dtypes.Real) : null,
        leaves.Part("inner"),
        description.Flag("scalesColumns") ? leaves.Tensor("columnScales", [description.Columns], Dtypes.Real) : null,
        description.Number("factor")));

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            RowScales?.Dispose();
            ColumnScales?.Dispose();
        }

        base.Dispose(disposing);
    }
}
