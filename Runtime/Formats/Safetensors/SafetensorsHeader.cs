using System.Text.Unicode;

namespace PipelineDsl.Runtime.Formats.Safetensors;

/// <summary>A header that was checked as a whole: every tensor lies inside the data buffer, and together they fill it exactly.</summary>
/// <param name="Tensors">The tensors, in the order of their data.</param>
/// <param name="Metadata">The caller's key-value pairs.</param>
internal sealed record SafetensorsHeader(IReadOnlyList<TensorInfo> Tensors, IReadOnlyDictionary<string, string> Metadata)
{
    /// <summary>The reserved entry that holds key-value pairs instead of a tensor.</summary>
    public const string MetadataKey = "__metadata__";

    /// <summary>More bytes than this are refused before anything is allocated.</summary>
    public const long MaxBytes = 100_000_000;

    /// <summary>Reads and checks a header.</summary>
    /// <param name="json">The header's bytes.</param>
    /// <param name="bufferLength">The length of the data that follows.</param>
    /// <exception cref="HeaderException">It breaks a rule of the format.</exception>
    public static SafetensorsHeader Parse(ReadOnlySpan<byte> json, long bufferLength)
    {
        if (!Utf8.IsValid(json))
        {
            throw new HeaderException("invalid UTF-8 in the header");
        }

        var (tensors, metadata) = new SafetensorsHeaderReader(json).Read();
        tensors.Sort((a, b) => (a.Offset, a.ByteCount).CompareTo((b.Offset, b.ByteCount)));
        CheckLayout(tensors, bufferLength);
        return new SafetensorsHeader(tensors, metadata);
    }

    private static void CheckLayout(List<TensorInfo> sorted, long bufferLength)
    {
        long end = 0;
        foreach (var tensor in sorted)
        {
            if (tensor.Offset != end)
            {
                throw new HeaderException($"tensor '{tensor.Name}' begins at {tensor.Offset} where {end} is expected: {(tensor.Offset < end ? "it overlaps the one before" : "there is a hole before it")}");
            }

            end = tensor.Offset + tensor.ByteCount;
        }

        if (end != bufferLength)
        {
            throw new HeaderException($"the tensors take {end} bytes but the file holds {bufferLength} after the header: {(end > bufferLength ? "it was cut short" : "there are trailing bytes")}");
        }
    }
}
