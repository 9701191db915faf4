using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>A matrix that is multiplied in another dtype than it is stored in, without a copy of all of it.</summary>
/// <param name="matrix">M [m, n], any real dtype.</param>
/// <param name="dtype">The dtype of products: float32 or float64.</param>
internal sealed class Operand(Tensor matrix, ScalarType dtype)
{
    /// <summary>m.</summary>
    public long Rows => matrix.shape[0];

    /// <summary>n.</summary>
    public long Columns => matrix.shape[1];

    /// <summary>The dtype of products.</summary>
    public ScalarType Type => dtype;

    /// <summary>Where it lies.</summary>
    public Device Device => matrix.device;

    /// <summary>M x [m, k] for x [n, k] in the dtype of products; the caller owns it.</summary>
    public Tensor Times(Tensor x)
    {
        if (matrix.dtype == dtype)
        {
            return matrix.mm(x);
        }

        var product = empty(Rows, x.shape[1], dtype: dtype, device: matrix.device);
        using var buffer = Buffer();
        foreach (var (first, count) in RowBlocks.Of(Rows, Columns))
        {
            using var scope = NewDisposeScope();
            product.narrow(0, first, count).addmm_(Block(buffer, first, count), x, beta: 0);
        }

        return product;
    }

    /// <summary>x M [k, n] for x [k, m] in the dtype of products; the caller owns it.</summary>
    public Tensor TimesFromLeft(Tensor x)
    {
        if (matrix.dtype == dtype)
        {
            return x.mm(matrix);
        }

        var product = zeros(x.shape[0], Columns, dtype: dtype, device: matrix.device);
        using var buffer = Buffer();
        foreach (var (first, count) in RowBlocks.Of(Rows, Columns))
        {
            using var scope = NewDisposeScope();
            product.addmm_(x.narrow(1, first, count), Block(buffer, first, count));
        }

        return product;
    }

    /// <summary>One buffer for all blocks: memory that is given back and asked for again costs more than the copy.</summary>
    private Tensor Buffer() => empty(Math.Min(Rows, RowBlocks.Height(Columns)), Columns, dtype: dtype, device: matrix.device);

    private Tensor Block(Tensor buffer, long first, long count) => buffer.narrow(0, 0, count).copy_(matrix.narrow(0, first, count));
}
