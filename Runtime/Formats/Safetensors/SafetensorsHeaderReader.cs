using System.Text;
using System.Text.Json;

namespace PipelineDsl.Runtime.Formats.Safetensors;

/// <summary>Scans a header's JSON strictly: no duplicate keys, no fields or numbers that the format does not have.</summary>
internal ref struct SafetensorsHeaderReader(ReadOnlySpan<byte> json)
{
    private Utf8JsonReader reader = new(json, new JsonReaderOptions { MaxDepth = 8 });

    /// <exception cref="HeaderException">The header breaks a rule of the format.</exception>
    public (List<TensorInfo> Tensors, Dictionary<string, string> Metadata) Read()
    {
        try
        {
            return ReadHeader();
        }
        catch (JsonException failure)
        {
            throw new HeaderException($"invalid JSON in the header at line {failure.LineNumber + 1}, byte {failure.BytePositionInLine + 1}");
        }
    }

    private (List<TensorInfo> Tensors, Dictionary<string, string> Metadata) ReadHeader()
    {
        var tensors = new List<TensorInfo>();
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        var names = new HashSet<string>(StringComparer.Ordinal);
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw new HeaderException($"invalid JSON in the header at byte {reader.TokenStartIndex + 1}: it is no object");
        }

        while (NextKey("the header", names) is { } name)
        {
            if (name == SafetensorsHeader.MetadataKey)
            {
                ReadMetadata(metadata);
            }
            else
            {
                tensors.Add(ReadTensor(name));
            }
        }

        // Reads on to the end, so that anything but white space after the object is found.
        reader.Read();
        return (tensors, metadata);
    }

    /// <summary>Moves to the value of the next key of the current object; null at its end.</summary>
    private string? NextKey(string owner, HashSet<string> seen)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.EndObject)
        {
            return null;
        }

        string key = Text();
        if (!seen.Add(key))
        {
            throw new HeaderException($"duplicate key '{key}' in {owner}");
        }

        reader.Read();
        return key;
    }

    private void ReadMetadata(Dictionary<string, string> metadata)
    {
        Expect(JsonTokenType.StartObject, $"'{SafetensorsHeader.MetadataKey}' must be an object of strings");
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (NextKey($"'{SafetensorsHeader.MetadataKey}'", seen) is { } key)
        {
            Expect(JsonTokenType.String, $"the value of '{key}' in '{SafetensorsHeader.MetadataKey}' must be a string");
            metadata[key] = Text();
        }
    }

    private TensorInfo ReadTensor(string name)
    {
        Expect(JsonTokenType.StartObject, $"tensor '{name}' must be an object");
        ElementType? type = null;
        List<long>? shape = null, offsets = null;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (NextKey($"tensor '{name}'", seen) is { } field)
        {
            switch (field)
            {
                case "dtype":
                    type = ReadType(name);
                    break;
                case "shape":
                    shape = ReadNumbers(name, field);
                    break;
                case "data_offsets":
                    offsets = ReadNumbers(name, field);
                    break;
                default:
                    throw new HeaderException($"tensor '{name}' has a field '{field}' that the format does not know");
            }
        }

        return CheckedTensor(name, type ?? throw Missing(name, "dtype"), shape ?? throw Missing(name, "shape"), offsets ?? throw Missing(name, "data_offsets"));
    }

    private ElementType ReadType(string tensor)
    {
        Expect(JsonTokenType.String, $"'dtype' of tensor '{tensor}' must be a string");
        string name = Text();
        return ElementType.Find(name)
            ?? throw new HeaderException($"tensor '{tensor}' has an unknown dtype '{name}'; known are {string.Join(", ", ElementType.All)}");
    }

    private List<long> ReadNumbers(string tensor, string field)
    {
        Expect(JsonTokenType.StartArray, $"'{field}' of tensor '{tensor}' must be an array of integers");
        var numbers = new List<long>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            numbers.Add(ReadNumber(tensor, field));
        }

        return numbers;
    }

    private readonly long ReadNumber(string tensor, string field)
    {
        var text = reader.ValueSpan;
        if (reader.TokenType == JsonTokenType.Number && text.IndexOfAnyExceptInRange((byte)'0', (byte)'9') < 0)
        {
            return reader.TryGetInt64(out long value)
                ? value
                : throw new HeaderException($"overflow in '{field}' of tensor '{tensor}': {Encoding.UTF8.GetString(text)} does not fit in 63 bits");
        }

        throw new HeaderException($"'{field}' of tensor '{tensor}' must hold integers from 0 up, but holds '{Encoding.UTF8.GetString(text)}'");
    }

    private static TensorInfo CheckedTensor(string name, ElementType type, List<long> shape, List<long> offsets)
    {
        if (offsets.Count != 2)
        {
            throw new HeaderException($"'data_offsets' of tensor '{name}' must hold 2 numbers, but holds {offsets.Count}");
        }

        Int128 elements = 1;
        foreach (long size in shape)
        {
            elements *= size;
            if (elements > long.MaxValue)
            {
                throw Overflow(name, shape, type);
            }
        }

        var bits = elements * type.Bits;
        if (bits / 8 > long.MaxValue)
        {
            throw Overflow(name, shape, type);
        }

        if (bits % 8 != 0)
        {
            throw new HeaderException($"tensor '{name}' is misaligned: shape {Shown(shape)} with dtype {type} takes {bits} bits, not a multiple of 8");
        }

        long found = offsets[1] - offsets[0];
        return found == bits / 8
            ? new TensorInfo(name, type, shape, offsets[0], found)
            : throw new HeaderException($"tensor '{name}' of shape {Shown(shape)} and dtype {type} needs {bits / 8} bytes, but 'data_offsets' [{offsets[0]}, {offsets[1]}] hold {found}");
    }

    private static HeaderException Overflow(string tensor, List<long> shape, ElementType type) => new($"overflow in the shape {Shown(shape)} of tensor '{tensor}' with dtype {type}: its size does not fit in 63 bits");

    private static string Shown(List<long> shape) => $"[{string.Join(", ", shape.Take(8))}{(shape.Count > 8 ? ", …" : "")}]";

    private static HeaderException Missing(string tensor, string field) => new($"tensor '{tensor}' lacks the field '{field}'");

    private readonly void Expect(JsonTokenType type, string otherwise)
    {
        if (reader.TokenType != type)
        {
            throw new HeaderException(otherwise);
        }
    }

    /// <summary>The current string; half a surrogate pair in an escape is refused.</summary>
    private readonly string Text()
    {
        try
        {
            return reader.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw new HeaderException($"invalid UTF-8 in the header: the string at byte {reader.TokenStartIndex + 1} holds half a surrogate pair");
        }
    }
}
