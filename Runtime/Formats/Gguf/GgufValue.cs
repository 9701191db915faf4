namespace PipelineDsl.Runtime.Formats.Gguf;

/// <summary>A value in a GGUF header.</summary>
/// <param name="Type">Its type.</param>
/// <param name="Content">The .NET value of that type: <see cref="byte"/> to <see cref="double"/>, <see cref="bool"/>, <see cref="string"/>, or a <see cref="GgufArray"/>.</param>
internal readonly record struct GgufValue(GgufValueType Type, object Content)
{
    public static implicit operator GgufValue(uint value) => new(GgufValueType.UInt32, value);

    public static implicit operator GgufValue(float value) => new(GgufValueType.Float32, value);

    public static implicit operator GgufValue(bool value) => new(GgufValueType.Bool, value);

    public static implicit operator GgufValue(string value) => new(GgufValueType.String, value);

    public static implicit operator GgufValue(string[] values) => Of(GgufValueType.String, values);

    public static implicit operator GgufValue(float[] values) => Of(GgufValueType.Float32, values);

    public static implicit operator GgufValue(int[] values) => Of(GgufValueType.Int32, values);

    /// <summary>An array.</summary>
    /// <param name="itemType">The type of its items.</param>
    /// <param name="items">An array of the .NET type of <paramref name="itemType"/>.</param>
    public static GgufValue Of(GgufValueType itemType, Array items) => new(GgufValueType.Array, new GgufArray(itemType, items));

    /// <summary>The .NET type that holds a value of a type.</summary>
    public static Type ClrType(GgufValueType type) => type switch
    {
        GgufValueType.UInt8 => typeof(byte),
        GgufValueType.Int8 => typeof(sbyte),
        GgufValueType.UInt16 => typeof(ushort),
        GgufValueType.Int16 => typeof(short),
        GgufValueType.UInt32 => typeof(uint),
        GgufValueType.Int32 => typeof(int),
        GgufValueType.Float32 => typeof(float),
        GgufValueType.Bool => typeof(bool),
        GgufValueType.String => typeof(string),
        GgufValueType.Array => typeof(GgufArray),
        GgufValueType.UInt64 => typeof(ulong),
        GgufValueType.Int64 => typeof(long),
        GgufValueType.Float64 => typeof(double),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, null),
    };

    /// <summary>The fewest bytes that a value of a type takes in a file.</summary>
    public static int LeastBytes(GgufValueType type) => type switch
    {
        GgufValueType.UInt8 or GgufValueType.Int8 or GgufValueType.Bool => 1,
        GgufValueType.UInt16 or GgufValueType.Int16 => 2,
        GgufValueType.UInt32 or GgufValueType.Int32 or GgufValueType.Float32 => 4,
        GgufValueType.Array => 12,
        _ => 8,
    };
}

/// <summary>An array in a GGUF header.</summary>
/// <param name="ItemType">The type of its items.</param>
/// <param name="Items">The items in an array of their own .NET type.</param>
internal sealed record GgufArray(GgufValueType ItemType, Array Items);
