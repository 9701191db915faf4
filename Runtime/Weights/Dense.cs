using System.Text.Json.Nodes;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>A plain matrix in its own dtype.</summary>
/// <param name="matrix">The matrix [rows, columns]; the expression takes ownership.</param>
public sealed class Dense(Tensor matrix) : Expression
{
    /// <summary>The matrix, owned by this expression.</summary>
    public Tensor Matrix { get; } = matrix.dim() == 2
        ? matrix.DetachFromDisposeScope()
        : throw new ArgumentException($"a weight has two dimensions, not {matrix.dim()}", nameof(matrix));

    /// <inheritdoc/>
    public override long Rows => Matrix.shape[0];

    /// <inheritdoc/>
    public override long Columns => Matrix.shape[1];

    /// <inheritdoc/>
    public override string Form => "dense";

    /// <inheritdoc/>
    public override Tensor Materialize() => Matrix.to(Dtypes.Wide(Matrix.dtype), copy: true);

    /// <inheritdoc/>
    public override IEnumerable<Tensor> MaterializeBlocks(long height)
    {
        for (long first = 0; first < Rows; first += height)
        {
            using var block = Matrix.narrow(0, first, Math.Min(height, Rows - first));
            yield return block.to(Dtypes.Wide(Matrix.dtype), copy: true);
        }
    }

    /// <inheritdoc/>
    public override Tensor Apply(Tensor x)
    {
        using var scope = NewDisposeScope();
        return nn.functional.linear(x, Matrix.dtype == x.dtype ? Matrix : Matrix.to(x.dtype)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> Leaves() => [("weight", Matrix)];

    /// <inheritdoc/>
    public override JsonObject Describe() => new() { ["columns"] = Columns, ["form"] = Form, ["rows"] = Rows };

    /// <inheritdoc/>
    public override Expression RewriteDense(Func<Dense, Expression> rewrite) => rewrite(this);

    internal static Dense Read(DescriptionReader description) =>
        description.Owning(leaves => new Dense(leaves.Tensor("weight", [description.Rows, description.Columns], Dtypes.Real)));

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Matrix.Dispose();
        }

        base.Dispose(disposing);
    }
}
