using System.Text.Json.Nodes;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>A convolution's weight with the kernel's width on the side of the outputs and its height on that of the inputs, where a product is two one-dimensional convolutions.</summary>
public sealed class SpatialKernel : Expression
{
    /// <summary>The weight [out, in · height · width] of a convolution.</summary>
    /// <param name="inner">[out · width, in · height]; the expression takes ownership.</param>
    /// <param name="height">Kernel height.</param>
    /// <param name="width">Kernel width.</param>
    public SpatialKernel(Expression inner, long height, long width)
    {
        if (height < 1 || width < 1 || inner.Rows % width != 0 || inner.Columns % height != 0)
        {
            throw new ArgumentException($"{inner.Rows} × {inner.Columns} is no matrix of {height} × {width} kernels", nameof(inner));
        }

        Inner = inner;
        Height = height;
        Width = width;
    }

    /// <summary>[out · width, in · height].</summary>
    public Expression Inner { get; }

    /// <summary>Kernel height.</summary>
    public long Height { get; }

    /// <summary>Kernel width.</summary>
    public long Width { get; }

    /// <inheritdoc/>
    public override long Rows => Inner.Rows / Width;

    /// <inheritdoc/>
    public override long Columns => Inner.Columns * Width;

    /// <inheritdoc/>
    public override string Form => "spatial";

    /// <inheritdoc/>
    public override IReadOnlyList<Expression> Parts => [Inner];

    /// <summary>The matrix to factor of a convolution's weight.</summary>
    /// <param name="weight">[out, in · height · width].</param>
    /// <param name="height">Kernel height.</param>
    /// <param name="width">Kernel width.</param>
    /// <returns>[out · width, in · height]; the caller owns it.</returns>
    public static Tensor Unfold(Tensor weight, long height, long width)
    {
        using var scope = NewDisposeScope();
        long rows = weight.shape[0];
        return weight.reshape(rows, -1, height, width).permute(0, 3, 1, 2).reshape(rows * width, -1).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Materialize()
    {
        using var scope = NewDisposeScope();
        return Inner.Materialize().reshape(Rows, Width, -1, Height).permute(0, 2, 3, 1).reshape(Rows, Columns).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Apply(Tensor x)
    {
        // Each column of the patch goes through the inner matrix; of the outputs those of its own column count.
        using var scope = NewDisposeScope();
        long[] leading = x.shape[..^1];
        var columns = x.reshape(-1, Columns / (Height * Width), Height, Width).permute(0, 3, 1, 2).reshape(-1, Width, Inner.Columns);
        var outputs = Inner.Apply(columns).reshape(-1, Width, Rows, Width);
        return outputs.diagonal(0, 1, 3).sum(-1).reshape([.. leading, Rows]).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> Leaves() => Inner.LeavesOf("inner");

    /// <inheritdoc/>
    public override JsonObject Describe() => new()
    {
        ["columns"] = Columns,
        ["form"] = Form,
        ["height"] = Height,
        ["inner"] = Inner.Describe(),
        ["rows"] = Rows,
        ["width"] = Width,
    };

    /// <inheritdoc/>
    public override Expression RewriteDense(Func<Dense, Expression> rewrite) => new SpatialKernel(Inner.RewriteDense(rewrite), Height, Width);

    internal static SpatialKernel Read(DescriptionReader description) =>
        description.Owning(leaves => new SpatialKernel(leaves.Part("inner"), description.Integer("height"), description.Integer("width")));
}
