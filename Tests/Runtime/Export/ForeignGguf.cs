using System.Text;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Export;

/// <summary>Reads exported GGUF files as the format is described; shares no code with the product.</summary>
internal sealed class ForeignGguf
{
    private readonly byte[] bytes;
    private readonly Dictionary<string, (long[] Shape, uint Type, long Offset)> infos = [];
    private readonly long data;

    public ForeignGguf(string path)
    {
        bytes = File.ReadAllBytes(path);
        using var reader = new BinaryReader(new MemoryStream(bytes));
        Encoding.ASCII.GetString(reader.ReadBytes(4)).ShouldBe("GGUF");
        reader.ReadUInt32().ShouldBe(3u);
        ulong tensors = reader.ReadUInt64(), values = reader.ReadUInt64();
        for (ulong i = 0; i < values; i++)
        {
            string key = Text(reader);
            Values.Add(key, Value(reader, reader.ReadUInt32()));
        }

        for (ulong i = 0; i < tensors; i++)
        {
            string name = Text(reader);
            long[] shape = new long[reader.ReadUInt32()];
            for (int d = shape.Length - 1; d >= 0; d--)
            {
                shape[d] = reader.ReadInt64();
            }

            infos.Add(name, (shape, reader.ReadUInt32(), reader.ReadInt64()));
        }

        data = (reader.BaseStream.Position + 31) / 32 * 32;
    }

    public Dictionary<string, object> Values { get; } = [];

    public IEnumerable<string> Names => infos.Keys;

    public uint TypeOf(string name) => infos[name].Type;

    /// <summary>A tensor as floats in the shape that PyTorch gives it.</summary>
    public Tensor Read(string name)
    {
        var (shape, type, offset) = infos[name];
        int count = (int)shape.Aggregate(1L, (product, size) => product * size);
        int start = (int)(data + offset);
        (start % 32).ShouldBe(0);
        float[] result = new float[count];
        for (int i = 0; i < count; i++)
        {
            var (block, l) = Math.DivRem(i, 32);
            result[i] = type switch
            {
                0 => BitConverter.ToSingle(bytes, start + (4 * i)),
                1 => (float)BitConverter.ToHalf(bytes, start + (2 * i)),
                2 => (float)BitConverter.ToHalf(bytes, start + (18 * block)) * (((bytes[start + (18 * block) + 2 + (l % 16)] >> (l / 16 * 4)) & 15) - 8),
                8 => (float)BitConverter.ToHalf(bytes, start + (34 * block)) * (sbyte)bytes[start + (34 * block) + 2 + l],
                _ => throw new InvalidDataException($"type {type}"),
            };
        }

        return tensor(result).reshape(shape);
    }

    /// <summary>Rows of interleaved pairs back in the order of halves.</summary>
    public static Tensor Halves(Tensor weight, int heads)
    {
        long size = weight.shape[0] / heads;
        return weight.reshape(heads, size / 2, 2, -1).transpose(1, 2).reshape(weight.shape);
    }

    private static string Text(BinaryReader reader) => Encoding.UTF8.GetString(reader.ReadBytes((int)reader.ReadUInt64()));

    private static object Value(BinaryReader reader, uint type) => type switch
    {
        4 => reader.ReadUInt32(),
        5 => reader.ReadInt32(),
        6 => reader.ReadSingle(),
        7 => reader.ReadByte() == 1,
        8 => Text(reader),
        9 => List(reader),
        _ => throw new InvalidDataException($"value type {type}"),
    };

    private static object[] List(BinaryReader reader)
    {
        uint type = reader.ReadUInt32();
        return [.. Enumerable.Range(0, (int)reader.ReadUInt64()).Select(_ => Value(reader, type))];
    }
}
