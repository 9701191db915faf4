using System.Text.Json.Nodes;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>W = a + b + …: a residual and its adapter, a base and its correction.</summary>
public sealed class Sum : Expression
{
    /// <summary>The sum of forms of one shape.</summary>
    /// <param name="terms">One or more [rows, columns]; the sum takes ownership.</param>
    public Sum(params Expression[] terms)
    {
        if (terms.Length == 0 || terms.Any(term => term.Rows != terms[0].Rows || term.Columns != terms[0].Columns))
        {
            throw new ArgumentException("a sum needs terms of one shape", nameof(terms));
        }

        Parts = [.. terms];
    }

    /// <inheritdoc/>
    public override long Rows => Parts[0].Rows;

    /// <inheritdoc/>
    public override long Columns => Parts[0].Columns;

    /// <inheritdoc/>
    public override string Form => "sum";

    /// <summary>The terms.</summary>
    public override IReadOnlyList<Expression> Parts { get; }

    /// <inheritdoc/>
    public override Tensor Materialize() => Add(term => term.Materialize());

    /// <inheritdoc/>
    public override IEnumerable<Tensor> MaterializeBlocks(long height) => Parts.Skip(1).Aggregate(Parts[0].MaterializeBlocks(height), (sums, term) => sums.Zip(term.MaterializeBlocks(height), Added));

    /// <inheritdoc/>
    public override Tensor Apply(Tensor x) => Add(term => term.Apply(x));

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> Leaves() => Parts.SelectMany((term, index) => term.LeavesOf($"terms.{index}"));

    /// <inheritdoc/>
    public override JsonObject Describe() => new()
    {
        ["columns"] = Columns,
        ["form"] = Form,
        ["rows"] = Rows,
        ["terms"] = new JsonArray([.. Parts.Select(term => term.Describe())]),
    };

    /// <inheritdoc/>
    public override Expression RewriteDense(Func<Dense, Expression> rewrite) => new Sum(RewriteParts(rewrite));

    internal static Sum Read(DescriptionReader description) => description.Owning(leaves => new Sum(leaves.Parts("terms")));

    private static Tensor Added(Tensor total, Tensor term)
    {
        using (total)
        using (term)
        {
            return total + term;
        }
    }

    private Tensor Add(Func<Expression, Tensor> value)
    {
        using var scope = NewDisposeScope();
        return Parts.Select(value).Aggregate((total, term) => total + term).MoveToOuterDisposeScope();
    }
}
