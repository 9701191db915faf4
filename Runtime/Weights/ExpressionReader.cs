using System.Text.Json.Nodes;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>Rebuilds expressions from descriptions; the one place that knows every form's name.</summary>
internal static class ExpressionReader
{
    public static Expression Read(JsonObject description, Func<string, Tensor> leaf, string prefix)
    {
        try
        {
            return Read(new(description, leaf, prefix, 0));
        }
        catch (ArgumentException damage)
        {
            // JsonObject reports a duplicate key this way, when it is first looked into.
            throw new InvalidDataException($"damaged weight description: {damage.Message}", damage);
        }
    }

    public static Expression Read(DescriptionReader description)
    {
        Expression expression = description.Form switch
        {
            "codebook" => Codebook.Read(description),
            "dense" => Dense.Read(description),
            "grid" => Grid.Read(description),
            "permuted" => Permuted.Read(description),
            "product" => Product.Read(description),
            "quantizedInputs" => QuantizedInputs.Read(description),
            "reshaped" => Reshaped.Read(description),
            "scaled" => Scaled.Read(description),
            "shifted" => Shifted.Read(description),
            "signLowRank" => SignLowRank.Read(description),
            "sparse" => Sparse.Read(description),
            "spatial" => SpatialKernel.Read(description),
            "sum" => Sum.Read(description),
            var form => throw new InvalidDataException($"unknown weight form '{form}'"),
        };
        if (expression.Rows == description.Rows && expression.Columns == description.Columns)
        {
            return expression;
        }

        string actual = $"{expression.Rows} × {expression.Columns}";
        expression.Dispose();
        throw new InvalidDataException($"a weight is described as {description.Rows} × {description.Columns}; its leaves make {actual}");
    }
}
