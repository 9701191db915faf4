namespace PipelineDsl.Runtime.Formats.Gguf;

/// <summary>What a GGUF header says about a tensor.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">Its element type.</param>
/// <param name="Dimensions">Its dimensions, the fastest first: a matrix [out, in] is (in, out) here.</param>
/// <param name="Offset">Where its bytes start in the data section.</param>
internal sealed record GgufTensorInfo(string Name, GgmlType Type, IReadOnlyList<long> Dimensions, long Offset)
{
    /// <summary>More bytes of a name are refused by llama.cpp.</summary>
    public const int LongestName = 63;

    /// <summary>The most dimensions.</summary>
    public const int MostDimensions = 4;

    /// <summary>How many values it has.</summary>
    public long Elements => Dimensions.Aggregate(1L, (product, size) => checked(product * size));

    /// <summary>How many bytes it has, without padding.</summary>
    public long ByteCount => checked(Elements / Type.BlockElements * Type.BlockBytes);

    /// <summary>What is wrong with name, dimensions or type, or null.</summary>
    public string? FindProblem()
    {
        if (System.Text.Encoding.UTF8.GetByteCount(Name) is var length and (0 or > LongestName))
        {
            return $"the name '{Name}' has {length} bytes; 1 to {LongestName} are possible";
        }

        Int128 bytes = Type.BlockBytes;
        foreach (long size in Dimensions)
        {
            if (size < 1)
            {
                return $"dimension {size} of tensor '{Name}' is impossible";
            }

            bytes *= size;
            if (bytes > long.MaxValue)
            {
                return $"the size of tensor '{Name}' ({string.Join(" × ", Dimensions)} of {Type}) overflows 63 bits";
            }
        }

        return Dimensions.Count > MostDimensions ? $"tensor '{Name}' has {Dimensions.Count} dimensions; {MostDimensions} are possible"
            : Dimensions.FirstOrDefault(1) % Type.BlockElements != 0 ? $"rows of {Dimensions.FirstOrDefault(1)} values of tensor '{Name}' are no whole blocks of {Type.BlockElements} ({Type})"
            : null;
    }
}
