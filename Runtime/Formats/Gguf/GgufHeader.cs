using System.Numerics;

namespace PipelineDsl.Runtime.Formats.Gguf;

/// <summary>A header that was checked as a whole: tensors follow each other in the data section, each padded to the alignment, up to the end of the file.</summary>
/// <param name="Values">The key-value pairs.</param>
/// <param name="Tensors">The tensors, in the order of their data.</param>
/// <param name="DataStart">Where the data section starts in the file.</param>
internal sealed record GgufHeader(IReadOnlyDictionary<string, GgufValue> Values, IReadOnlyList<GgufTensorInfo> Tensors, long DataStart)
{
    /// <summary>The key whose value says what everything is aligned to.</summary>
    public const string AlignmentKey = "general.alignment";

    private const uint DefaultAlignment = 32;

    /// <summary>Reads and checks a header.</summary>
    /// <param name="stream">The whole file, at its start.</param>
    /// <exception cref="HeaderException">It breaks a rule of the format.</exception>
    public static GgufHeader Parse(Stream stream)
    {
        var reader = new GgufHeaderReader(stream);
        var (values, tensors) = reader.Read();
        uint alignment = AlignmentOf(values);
        long dataStart = Pad(reader.Position, alignment);
        CheckLayout(tensors, dataStart, stream.Length, alignment);
        return new(values, tensors, dataStart);
    }

    /// <summary>The alignment that a file's key-value pairs ask for.</summary>
    /// <exception cref="HeaderException">It is none.</exception>
    public static uint AlignmentOf(IReadOnlyDictionary<string, GgufValue> values) =>
        !values.TryGetValue(AlignmentKey, out var value) ? DefaultAlignment
        : value.Content is uint alignment && BitOperations.IsPow2(alignment) && alignment % 8 == 0 ? alignment
        : throw new HeaderException($"'{AlignmentKey}' is {value.Content}, no power of two from 8 up");

    /// <summary>The next multiple of the alignment.</summary>
    public static long Pad(long position, uint alignment) => checked(position + alignment - 1) / alignment * alignment;

    private static void CheckLayout(List<GgufTensorInfo> tensors, long dataStart, long fileLength, uint alignment)
    {
        Int128 expected = 0;
        Int128 end = 0;
        foreach (var tensor in tensors)
        {
            if (tensor.Offset != expected)
            {
                throw new HeaderException(
                    $"tensor '{tensor.Name}' begins at {tensor.Offset} where {expected} is expected: {(tensor.Offset < end ? "it overlaps the one before" : tensor.Offset % alignment != 0 ? "it is not aligned" : "there is a hole before it")}");
            }

            end = expected + tensor.ByteCount;
            expected = (end + alignment - 1) / alignment * alignment;
        }

        // What pads the header or the last tensor may be missing: nothing follows it.
        var needed = tensors.Count == 0 ? 0 : dataStart + end;
        if (needed > fileLength || dataStart + expected < fileLength)
        {
            throw new HeaderException($"the tensors end at {needed} but the file has {fileLength} bytes: {(needed > fileLength ? "it was cut short" : "there are trailing bytes")}");
        }
    }
}
