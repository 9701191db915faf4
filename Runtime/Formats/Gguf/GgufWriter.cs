using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Runtime.Formats.Gguf;

/// <summary>Writes GGUF files of version 3: same values and tensors in, same bytes out; the target changes only when all of it is on disk.</summary>
internal static class GgufWriter
{
    private const uint Version = 3;

    /// <summary>Writes a file.</summary>
    /// <param name="path">The target.</param>
    /// <param name="values">The key-value pairs, in the order of the file.</param>
    /// <param name="tensors">The tensors, in the order of the file.</param>
    /// <exception cref="ArgumentException">Two keys or tensors have one name, or an entry breaks a rule of the format.</exception>
    /// <exception cref="PipelineException">PDSL3012: the file cannot be written.</exception>
    public static void Write(string path, IReadOnlyList<KeyValuePair<string, GgufValue>> values, IReadOnlyList<GgufPendingTensor> tensors)
    {
        uint alignment = Alignment(values);
        var infos = Place(tensors, alignment);
        using var header = new MemoryStream();
        using (var writer = new BinaryWriter(header, Encoding.UTF8, leaveOpen: true))
        {
            writer.Write("GGUF"u8);
            writer.Write(Version);
            writer.Write((ulong)infos.Count);
            writer.Write((ulong)values.Count);
            foreach (var (key, value) in values)
            {
                WriteText(writer, key);
                writer.Write((uint)value.Type);
                WriteValue(writer, value.Type, value.Content);
            }

            infos.ForEach(info => WriteInfo(writer, info));
        }

        AtomicFile.Write(path, stream =>
        {
            header.WriteTo(stream);
            WritePadding(stream, header.Length, alignment);
            foreach (var (tensor, info) in tensors.Zip(infos))
            {
                WriteData(stream, tensor, info, alignment);
            }
        });
    }

    private static uint Alignment(IReadOnlyList<KeyValuePair<string, GgufValue>> values)
    {
        try
        {
            return GgufHeader.AlignmentOf(values.ToDictionary(StringComparer.Ordinal));
        }
        catch (HeaderException problem)
        {
            throw new ArgumentException(problem.Message, nameof(values), problem);
        }
    }

    private static List<GgufTensorInfo> Place(IReadOnlyList<GgufPendingTensor> tensors, uint alignment)
    {
        var infos = new List<GgufTensorInfo>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        long offset = 0;
        foreach (var tensor in tensors)
        {
            var info = new GgufTensorInfo(tensor.Name, tensor.Type, tensor.Dimensions, offset);
            string? problem = names.Add(tensor.Name) ? info.FindProblem() : $"two tensors are named '{tensor.Name}'";
            if (problem is not null)
            {
                throw new ArgumentException(problem, nameof(tensors));
            }

            infos.Add(info);
            offset = GgufHeader.Pad(checked(offset + info.ByteCount), alignment);
        }

        return infos;
    }

    private static void WriteInfo(BinaryWriter writer, GgufTensorInfo info)
    {
        WriteText(writer, info.Name);
        writer.Write((uint)info.Dimensions.Count);
        foreach (long size in info.Dimensions)
        {
            writer.Write((ulong)size);
        }

        writer.Write(info.Type.Id);
        writer.Write((ulong)info.Offset);
    }

    private static void WriteData(Stream stream, GgufPendingTensor tensor, GgufTensorInfo info, uint alignment)
    {
        long start = stream.Position;
        tensor.Write(stream);
        long written = stream.Position - start;
        if (written != info.ByteCount)
        {
            throw new InvalidOperationException($"tensor '{tensor.Name}' was announced with {info.ByteCount} bytes but wrote {written}");
        }

        WritePadding(stream, written, alignment);
    }

    private static void WritePadding(Stream stream, long length, uint alignment) => stream.Write(new byte[GgufHeader.Pad(length, alignment) - length]);

    private static void WriteText(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private static void WriteValue(BinaryWriter writer, GgufValueType type, object content)
    {
        if (content.GetType() != GgufValue.ClrType(type))
        {
            throw new ArgumentException($"a value of type {type} cannot hold {content.GetType().Name}");
        }

        if (content is GgufArray array)
        {
            writer.Write((uint)array.ItemType);
            writer.Write((ulong)array.Items.LongLength);
            WriteItems(writer, array.ItemType, array.Items);
        }
        else if (content is string text)
        {
            WriteText(writer, text);
        }
        else
        {
            var one = Array.CreateInstance(content.GetType(), 1);
            one.SetValue(content, 0);
            WriteItems(writer, type, one);
        }
    }

    private static void WriteItems(BinaryWriter writer, GgufValueType type, Array items)
    {
        if (items.GetType().GetElementType() != GgufValue.ClrType(type))
        {
            throw new ArgumentException($"an array of type {type} cannot hold {items.GetType().GetElementType()!.Name}");
        }

        if (type is GgufValueType.String or GgufValueType.Array)
        {
            foreach (object item in items)
            {
                WriteValue(writer, type, item);
            }
        }
        else
        {
            writer.Write(MemoryMarshal.CreateReadOnlySpan(ref MemoryMarshal.GetArrayDataReference(items), items.Length * GgufValue.LeastBytes(type)));
        }
    }
}
