using System.Runtime.CompilerServices;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>Arguments and results of modules: tensors, and tuples and arrays of them, beside plain values.</summary>
internal static class CallValues
{
    /// <summary>A copy whose tensors have no history and belong to the current dispose scope.</summary>
    /// <exception cref="NotSupportedException">The value may hold tensors that cannot be found in it.</exception>
    public static object? Copy(object? value) => value switch
    {
        null => null,
        Tensor tensor => tensor.detach().clone(),
        Array array when array.Rank == 1 => CopyArray(array),
        ITuple tuple => Activator.CreateInstance(value.GetType(), [.. Elements(tuple).Select(Copy)]),
        _ when value is string || value.GetType() is { IsPrimitive: true } or { IsEnum: true } => value,
        _ => throw new NotSupportedException($"a value of type '{value.GetType().Name}' cannot be kept and passed again"),
    };

    /// <summary>All tensors in a value, in order.</summary>
    public static IEnumerable<Tensor> TensorsOf(object? value) => value switch
    {
        Tensor tensor => [tensor],
        Array array => array.Cast<object?>().SelectMany(TensorsOf),
        ITuple tuple => Elements(tuple).SelectMany(TensorsOf),
        _ => [],
    };

    private static Array CopyArray(Array array)
    {
        var copy = Array.CreateInstance(array.GetType().GetElementType()!, array.Length);
        for (int i = 0; i < array.Length; i++)
        {
            copy.SetValue(Copy(array.GetValue(i)), i);
        }

        return copy;
    }

    private static IEnumerable<object?> Elements(ITuple tuple) => Enumerable.Range(0, tuple.Length).Select(i => tuple[i]);
}
