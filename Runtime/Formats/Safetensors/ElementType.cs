using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Formats.Safetensors;

/// <summary>An element type of the safetensors format.</summary>
/// <param name="Name">The name in the header: <c>F32</c>.</param>
/// <param name="Bits">Bits an element.</param>
/// <param name="Torch">The tensor library's type, or null when it has none.</param>
public sealed record ElementType(string Name, int Bits, ScalarType? Torch)
{
    /// <summary>All types of the format.</summary>
    public static IReadOnlyList<ElementType> All { get; } =
    [
        new("BOOL", 8, ScalarType.Bool),
        new("U8", 8, ScalarType.Byte),
        new("I8", 8, ScalarType.Int8),
        new("U16", 16, null),
        new("I16", 16, ScalarType.Int16),
        new("U32", 32, null),
        new("I32", 32, ScalarType.Int32),
        new("U64", 64, null),
        new("I64", 64, ScalarType.Int64),
        new("F16", 16, ScalarType.Float16),
        new("BF16", 16, ScalarType.BFloat16),
        new("F32", 32, ScalarType.Float32),
        new("F64", 64, ScalarType.Float64),
        new("C64", 64, ScalarType.ComplexFloat32),
        new("F8_E4M3", 8, null),
        new("F8_E5M2", 8, null),
        new("F8_E8M0", 8, null),
        new("F8_E4M3FNUZ", 8, null),
        new("F8_E5M2FNUZ", 8, null),
        new("F6_E2M3", 6, null),
        new("F6_E3M2", 6, null),
        new("F4", 4, null),
    ];

    private static readonly Dictionary<string, ElementType> ByName = All.ToDictionary(type => type.Name, StringComparer.Ordinal);
    private static readonly Dictionary<ScalarType, ElementType> ByScalarType = All.Where(type => type.Torch is not null).ToDictionary(type => type.Torch!.Value);

    /// <summary>The type of a name, or null when the format has none.</summary>
    public static ElementType? Find(string name) => ByName.GetValueOrDefault(name);

    /// <summary>The format's type for one of the tensor library.</summary>
    /// <exception cref="NotSupportedException">The format has none.</exception>
    public static ElementType Of(ScalarType type) => ByScalarType.GetValueOrDefault(type)
        ?? throw new NotSupportedException($"safetensors cannot hold {type}; convert the tensor first");

    /// <inheritdoc/>
    public override string ToString() => Name;
}
