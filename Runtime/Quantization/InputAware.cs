using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Rewrites the dense matrices of a weight one after the other, each with the Gram matrix of the inputs that reach it.</summary>
/// <remarks>
/// In W = L R the right factor reads the layer's inputs x, and the left one R x: its Gram matrix is R G Rᵀ with the right factor as it is stored by then.
/// The matrix of a spatial kernel reads each column of a patch by itself; its Gram matrix is the sum over the columns.
/// </remarks>
internal static class InputAware
{
    /// <summary>Quantises a dense matrix.</summary>
    /// <param name="dense">The matrix [rows, columns], still owned by its expression.</param>
    /// <param name="gram">Σ x xᵀ over its inputs [columns, columns] float64.</param>
    public delegate Expression Quantizer(Dense dense, Tensor gram);

    /// <summary>Rewrites a weight; the caller owns the result.</summary>
    /// <param name="weight">The weight, still the caller's.</param>
    /// <param name="gram">Σ x xᵀ over the layer's inputs [columns, columns] float64.</param>
    /// <param name="quantize">Gives each dense matrix its new form.</param>
    /// <exception cref="InvalidOperationException">The inputs of a matrix inside the weight cannot be told from the layer's.</exception>
    public static Expression Rewrite(Expression weight, Tensor gram, Quantizer quantize)
    {
        using var scope = NewDisposeScope();
        return weight switch
        {
            Dense dense => quantize(dense, gram),
            Product product => Rewrite(product, gram, quantize),
            Sum sum => new Sum(RewriteAll(sum.Parts, gram, quantize)),
            Scaled scaled => new Scaled(scaled.RowScales?.alias(), Rewrite(scaled.Inner, ScaledGram(gram, scaled.ColumnScales), quantize), scaled.ColumnScales?.alias(), scaled.Factor),
            Shifted shifted => new Shifted(Rewrite(shifted.Inner, gram, quantize), shifted.Row.alias()),
            Permuted permuted => new Permuted(Rewrite(permuted.Inner, gram.index_select(0, permuted.Order).index_select(1, permuted.Order), quantize), permuted.Order.alias()),
            SpatialKernel spatial => new SpatialKernel(Rewrite(spatial.Inner, ColumnGram(gram, spatial), quantize), spatial.Height, spatial.Width),
            _ when !HasDense(weight) => weight.RewriteDense(dense => dense),
            _ => throw new InvalidOperationException($"a weight of the form '{weight.Form}' cannot be quantised by its inputs; use 'quantize'"),
        };
    }

    private static Product Rewrite(Product product, Tensor gram, Quantizer quantize)
    {
        var right = Rewrite(product.Right, gram, quantize);
        try
        {
            var stored = right.Materialize().to(float64);
            return new(Rewrite(product.Left, stored.mm(gram).mm(stored.mT), quantize), right);
        }
        catch
        {
            right.Dispose();
            throw;
        }
    }

    private static Expression[] RewriteAll(IReadOnlyList<Expression> parts, Tensor gram, Quantizer quantize)
    {
        var rewritten = new List<Expression>();
        try
        {
            foreach (var part in parts)
            {
                rewritten.Add(Rewrite(part, gram, quantize));
            }

            return [.. rewritten];
        }
        catch
        {
            rewritten.ForEach(part => part.Dispose());
            throw;
        }
    }

    private static Tensor ScaledGram(Tensor gram, Tensor? columnScales)
    {
        if (columnScales is null)
        {
            return gram;
        }

        var scales = columnScales.to(float64);
        return gram * scales * scales.unsqueeze(1);
    }

    /// <summary>Σ over a patch's columns j of G[(c, i, j), (c', i', j)].</summary>
    private static Tensor ColumnGram(Tensor gram, SpatialKernel spatial)
    {
        long channels = spatial.Inner.Columns / spatial.Height;
        var (height, width) = (spatial.Height, spatial.Width);
        return gram.reshape(channels, height, width, channels, height, width).diagonal(0, 2, 5).sum(-1).reshape(channels * height, channels * height);
    }

    private static bool HasDense(Expression weight) => weight is Dense || weight.Parts.Any(HasDense);
}
