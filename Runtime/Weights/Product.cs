using System.Text.Json.Nodes;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>W = left · right: what every low-rank method leaves.</summary>
public sealed class Product : Expression
{
    /// <summary>The product of two forms.</summary>
    /// <param name="left">[rows, rank]; the product takes ownership.</param>
    /// <param name="right">[rank, columns]; the product takes ownership.</param>
    public Product(Expression left, Expression right)
    {
        if (left.Columns != right.Rows)
        {
            throw new ArgumentException($"{left.Rows} × {left.Columns} cannot be multiplied by {right.Rows} × {right.Columns}", nameof(right));
        }

        Left = left;
        Right = right;
    }

    /// <summary>[rows, rank].</summary>
    public Expression Left { get; }

    /// <summary>[rank, columns].</summary>
    public Expression Right { get; }

    /// <inheritdoc/>
    public override long Rows => Left.Rows;

    /// <inheritdoc/>
    public override long Columns => Right.Columns;

    /// <inheritdoc/>
    public override string Form => "product";

    /// <inheritdoc/>
    public override IReadOnlyList<Expression> Parts => [Left, Right];

    /// <inheritdoc/>
    public override Tensor Materialize()
    {
        using var scope = NewDisposeScope();
        var (left, right) = Dtypes.Promote(Left.Materialize(), Right.Materialize());
        return left.mm(right).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override IEnumerable<Tensor> MaterializeBlocks(long height)
    {
        using var right = Right.Materialize();
        foreach (var block in Left.MaterializeBlocks(height))
        {
            yield return Multiplied(block, right);
        }
    }

    /// <inheritdoc/>
    public override Tensor Apply(Tensor x)
    {
        using var inner = Right.Apply(x);
        return Left.Apply(inner);
    }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> Leaves() => [.. Left.LeavesOf("left"), .. Right.LeavesOf("right")];

    /// <inheritdoc/>
    public override JsonObject Describe() => new()
    {
        ["columns"] = Columns,
        ["form"] = Form,
        ["left"] = Left.Describe(),
        ["right"] = Right.Describe(),
        ["rows"] = Rows,
    };

    /// <inheritdoc/>
    public override Expression RewriteDense(Func<Dense, Expression> rewrite)
    {
        var parts = RewriteParts(rewrite);
        return new Product(parts[0], parts[1]);
    }

    private static Tensor Multiplied(Tensor block, Tensor right)
    {
        using (block)
        {
            using var scope = NewDisposeScope();
            var (left, columns) = Dtypes.Promote(block, right);
            return left.mm(columns).MoveToOuterDisposeScope();
        }
    }

    internal static Product Read(DescriptionReader description) => description.Owning(leaves => new Product(leaves.Part("left"), leaves.Part("right")));
}
