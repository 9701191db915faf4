using System.Text.Json.Nodes;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>A plain matrix in its own dtype.</summary>
/// <param name="matrix">The matrix [rows, columns]; the expression takes ownership.</param>
public sealed class Dense(Tensor matrix) : Expression
{
    /// <summary>The matrix, owned by this expression.</summary>
    public Tensor Matrix { get; } = matrix.DetachFromDisposeScope();

    /// <inheritdoc/>
    public override long Rows => Matrix.shape[0];

    /// <inheritdoc/>
    public override long Columns => Matrix.shape[1];

    /// <inheritdoc/>
    public override string Form => "dense";

    /// <inheritdoc/>
    public override Tensor Materialize() => Matrix.dtype == float64 ? Matrix.clone() : Matrix.to_type(float32, copy: true);

    /// <inheritdoc/>
    public override Tensor Apply(Tensor x) => nn.functional.linear(x, Matrix.dtype == x.dtype ? Matrix : Matrix.to(x.dtype));

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> Leaves() => [("weight", Matrix)];

    /// <inheritdoc/>
    public override JsonObject Describe() => new() { ["columns"] = Columns, ["form"] = Form, ["rows"] = Rows };

    /// <inheritdoc/>
    public override Expression RewriteDense(Func<Dense, Expression> rewrite) => rewrite(this);

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
