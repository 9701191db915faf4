using System;
using System.Globalization;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Operations;

namespace PipelineDsl.Generators.Pipeline;

/// <summary>Reads a layer's shape off the constants in <c>Linear(64, 128)</c> and its like.</summary>
internal static class LayerShapeReader
{
    /// <summary>The shape, or null when a number is not constant.</summary>
    public static LayerShape? Read(IOperation value, LayerKinds kind)
    {
        if (value is not IInvocationOperation call || !SymbolFacts.IsTorchFactory(call.TargetMethod))
        {
            return null;
        }

        var (rows, columns) = call.TargetMethod.Name switch
        {
            "Linear" => (Number(call, "outputSize"), Number(call, "inputSize")),
            "Embedding" => (Number(call, "num_embeddings"), Number(call, "embedding_dims")),
            "Conv2d" => (Number(call, "out_channels"), Number(call, "in_channels") / Number(call, "groups") * Area(Argument(call, "kernel_size"))),
            _ => (null, null),
        };
        return rows is > 0 && columns is > 0 ? new(kind, rows.Value, columns.Value) : null;
    }

    private static IOperation? Argument(IInvocationOperation call, string name) => call.Arguments.FirstOrDefault(argument => argument.Parameter?.Name == name)?.Value;

    private static long? Number(IInvocationOperation call, string name) => Number(Argument(call, name));

    private static long? Number(IOperation? operation) => operation?.ConstantValue is { HasValue: true, Value: int or long or short or byte } constant
        ? Positive(Convert.ToInt64(constant.Value, CultureInfo.InvariantCulture))
        : null;

    /// <summary>Numbers that no layer can have are the compiler's or the library's business.</summary>
    private static long? Positive(long number) => number is > 0 and <= int.MaxValue ? number : null;

    private static long? Area(IOperation? kernel) => kernel is not null && AssignedValues.Unwrap(kernel) is ITupleOperation { Elements: [var height, var width] }
        ? Number(height) * Number(width)
        : Number(kernel) * Number(kernel);
}
