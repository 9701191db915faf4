using System.Text.Json;

namespace PipelineDsl.Runtime.Formats.Packing;

/// <summary>What bitsandbytes needs to know of a 4-bit weight beside its tensors: the JSON text in <c>weight.quant_state.bitsandbytes__nf4</c>.</summary>
/// <param name="QuantType"><c>nf4</c> or <c>fp4</c>.</param>
/// <param name="BlockSize">Neighbours of the flattened matrix that share a scale.</param>
/// <param name="Dtype">The dtype that the weight is run in: <c>float16</c>, <c>bfloat16</c>, <c>float32</c>.</param>
/// <param name="Shape">The shape of the weight.</param>
/// <param name="Nested">How the scales are quantised in their turn, or null when they are plain.</param>
internal sealed record QuantState(string QuantType, int BlockSize, string Dtype, IReadOnlyList<long> Shape, NestedQuantState? Nested)
{
    /// <summary>The UTF-8 text.</summary>
    public byte[] Write()
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("quant_type", QuantType);
            json.WriteNumber("blocksize", BlockSize);
            json.WriteString("dtype", Dtype);
            json.WriteStartArray("shape");
            foreach (long size in Shape)
            {
                json.WriteNumberValue(size);
            }

            json.WriteEndArray();
            if (Nested is { } nested)
            {
                json.WriteNumber("nested_blocksize", nested.BlockSize);
                json.WriteString("nested_dtype", nested.Dtype);
                // As a double, whose shortest text a reader in any precision brings back to the same float.
                json.WriteNumber("nested_offset", (double)nested.Offset);
            }

            json.WriteEndObject();
        }

        return buffer.ToArray();
    }

    /// <summary>Reads the text.</summary>
    /// <exception cref="InvalidDataException">It is no state.</exception>
    public static QuantState Read(ReadOnlyMemory<byte> text)
    {
        try
        {
            using var json = JsonDocument.Parse(text, StrictJson.Options);
            var root = json.RootElement;
            var state = new QuantState(
                root.Text("quant_type"),
                root.Get("blocksize").GetInt32(),
                root.Text("dtype"),
                [.. root.Get("shape").EnumerateArray().Select(size => size.GetInt64())],
                root.Find("nested_blocksize") is { } nested ? new(nested.GetInt32(), root.Text("nested_dtype"), root.Get("nested_offset").GetSingle()) : null);
            return state.BlockSize > 0 && state.Nested is not { BlockSize: <= 0 } && state.Shape.All(size => size > 0) ? state
                : throw new FormatException("sizes must be positive");
        }
        catch (Exception failure) when (failure is JsonException or InvalidOperationException or FormatException)
        {
            throw new InvalidDataException($"no quantisation state: {failure.Message}", failure);
        }
    }
}

/// <summary>How scales are quantised in their turn.</summary>
/// <param name="BlockSize">Neighbours that share a scale of scales.</param>
/// <param name="Dtype">The dtype of scales: <c>float32</c>.</param>
/// <param name="Offset">What was taken off every scale before.</param>
internal sealed record NestedQuantState(int BlockSize, string Dtype, float Offset);
