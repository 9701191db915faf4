using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace PipelineDsl.Runtime.Formats.Gguf;

/// <summary>Scans a GGUF header strictly: no length is believed before it is held against what the file still has.</summary>
/// <param name="stream">The whole file, at its start.</param>
internal sealed class GgufHeaderReader(Stream stream)
{
    /// <summary>A longer header is refused, so that a hostile one cannot fill the memory.</summary>
    public const long MaxBytes = 1L << 28;

    private const int LongestKey = 65_535;
    private const int DeepestArrays = 4;
    private const int LeastValueBytes = 13;
    private const int LeastTensorBytes = 24;

    private static readonly UTF8Encoding Utf8 = new(false, throwOnInvalidBytes: true);

    private readonly byte[] number = new byte[8];

    /// <summary>How far the header was read.</summary>
    public long Position { get; private set; }

    /// <exception cref="HeaderException">The header breaks a rule of the format.</exception>
    public (Dictionary<string, GgufValue> Values, List<GgufTensorInfo> Tensors) Read()
    {
        ReadStart();
        long tensorCount = Count(LeastTensorBytes, "tensors");
        long valueCount = Count(LeastValueBytes, "values");
        var values = new Dictionary<string, GgufValue>(StringComparer.Ordinal);
        for (long i = 0; i < valueCount; i++)
        {
            string key = Text("a key", LongestKey);
            var value = ReadValue(ReadType($"'{key}'"), $"'{key}'", 0);
            if (!values.TryAdd(key, value))
            {
                throw new HeaderException($"duplicate key '{key}'");
            }
        }

        var tensors = new List<GgufTensorInfo>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        for (long i = 0; i < tensorCount; i++)
        {
            var tensor = ReadTensor();
            tensors.Add(names.Add(tensor.Name) ? tensor : throw new HeaderException($"two tensors are named '{tensor.Name}'"));
        }

        return (values, tensors);
    }

    private void ReadStart()
    {
        byte[] start = new byte[64];
        start = start[..stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false)];
        stream.Position = 0;
        if (Impostor.Find(start) is { } impostor)
        {
            throw new HeaderException(impostor);
        }

        if (!start.AsSpan().StartsWith("GGUF"u8))
        {
            throw new HeaderException("it does not start with 'GGUF'");
        }

        Fill(number.AsSpan(0, 4), "the start");
        uint version = UInt32("the version");
        if (version is not (2 or 3))
        {
            throw new HeaderException(BinaryPrimitives.ReverseEndianness(version) is 1 or 2 or 3 ? "it is big-endian, which is not read" : $"its version is {version}; 2 and 3 are read");
        }
    }

    private GgufTensorInfo ReadTensor()
    {
        string name = Text("a tensor's name", GgufTensorInfo.LongestName);
        uint dimensions = UInt32($"tensor '{name}'");
        if (dimensions > GgufTensorInfo.MostDimensions)
        {
            throw new HeaderException($"tensor '{name}' has {dimensions} dimensions; {GgufTensorInfo.MostDimensions} are possible");
        }

        long[] sizes = new long[dimensions];
        for (int i = 0; i < sizes.Length; i++)
        {
            sizes[i] = Size($"a dimension of tensor '{name}'");
        }

        uint id = UInt32($"tensor '{name}'");
        var type = GgmlType.Find(id) ?? throw new HeaderException($"tensor '{name}' has the unknown or removed type {id}");
        var tensor = new GgufTensorInfo(name, type, sizes, Size($"the offset of tensor '{name}'"));
        return tensor.FindProblem() is { } problem ? throw new HeaderException(problem) : tensor;
    }

    private GgufValueType ReadType(string what)
    {
        uint type = UInt32(what);
        return Enum.IsDefined((GgufValueType)type) ? (GgufValueType)type : throw new HeaderException($"{what} has the unknown type {type}");
    }

    private GgufValue ReadValue(GgufValueType type, string what, int depth) => type switch
    {
        GgufValueType.String => Text(what, MaxBytes),
        GgufValueType.Array => new GgufValue(type, ReadArray(what, depth)),
        _ => new GgufValue(type, Numbers(type, 1, what).GetValue(0)!),
    };

    private GgufArray ReadArray(string what, int depth)
    {
        if (depth >= DeepestArrays)
        {
            throw new HeaderException($"{what} nests arrays more than {DeepestArrays} deep");
        }

        var type = ReadType(what);
        long count = Count(GgufValue.LeastBytes(type), $"items of {what}");
        if (type is not (GgufValueType.String or GgufValueType.Array))
        {
            return new(type, Numbers(type, count, what));
        }

        var items = Array.CreateInstance(GgufValue.ClrType(type), count);
        for (long i = 0; i < count; i++)
        {
            items.SetValue(ReadValue(type, what, depth + 1).Content, i);
        }

        return new(type, items);
    }

    /// <summary>Numbers or truth values, which lie in the file as they do in memory.</summary>
    private Array Numbers(GgufValueType type, long count, string what)
    {
        var items = Array.CreateInstance(GgufValue.ClrType(type), count);
        var bytes = MemoryMarshal.CreateSpan(ref MemoryMarshal.GetArrayDataReference(items), (int)(count * GgufValue.LeastBytes(type)));
        if (type == GgufValueType.Bool)
        {
            // No byte but 0 and 1 may become a truth value.
            byte[] raw = new byte[count];
            Fill(raw, what);
            int place = raw.AsSpan().IndexOfAnyExcept((byte)0, (byte)1);
            if (place >= 0)
            {
                throw new HeaderException($"{what} holds the byte {raw[place]} where 0 or 1 is needed");
            }

            raw.CopyTo(bytes);
        }
        else
        {
            Fill(bytes, what);
        }

        return items;
    }

    private uint UInt32(string what)
    {
        Fill(number.AsSpan(0, 4), what);
        return BinaryPrimitives.ReadUInt32LittleEndian(number);
    }

    private ulong UInt64(string what)
    {
        Fill(number, what);
        return BinaryPrimitives.ReadUInt64LittleEndian(number);
    }

    private long Size(string what)
    {
        ulong size = UInt64(what);
        return size <= long.MaxValue ? (long)size : throw new HeaderException($"{what} is {size}, over 63 bits");
    }

    private long Count(int leastBytes, string what)
    {
        ulong count = UInt64($"the number of {what}");
        Require(count > long.MaxValue ? Int128.MaxValue : (Int128)count * leastBytes, $"{count} {what}");
        return (long)count;
    }

    private string Text(string what, long longest)
    {
        ulong length = UInt64(what);
        Require(length, $"{what} of {length} bytes");
        if (length > (ulong)longest)
        {
            throw new HeaderException($"{what} has {length} bytes; {longest} are possible");
        }

        byte[] bytes = new byte[length];
        Fill(bytes, what);
        try
        {
            return Utf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw new HeaderException($"invalid UTF-8 in {what}");
        }
    }

    private void Fill(Span<byte> destination, string what)
    {
        Require(destination.Length, what);
        stream.ReadExactly(destination);
        Position += destination.Length;
    }

    private void Require(Int128 bytes, string what)
    {
        if (bytes > stream.Length - Position)
        {
            throw new HeaderException($"{what} run past the end of the file of {stream.Length} bytes");
        }

        if (Position + bytes > MaxBytes)
        {
            throw new HeaderException($"{what} make the header longer than {MaxBytes} bytes");
        }
    }
}
