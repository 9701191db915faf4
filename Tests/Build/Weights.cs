using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace PipelineDsl.Build.Tests;

/// <summary>Weights and data of the template's model as safetensors files: a header's length, the header, the numbers.</summary>
internal static class Weights
{
    private const int Rows = 12;

    private static readonly (string Name, int[] Shape)[] Tensors =
        [("fc1.bias", [16]), ("fc1.weight", [16, 8]), ("fc2.bias", [4]), ("fc2.weight", [4, 16])];

    public static byte[] File(int seed)
    {
        var random = new Random(seed);
        return Write(Tensors.Select(tensor => (tensor.Name, "F32", tensor.Shape, Floats(random, tensor.Shape.Aggregate((left, right) => left * right)))));
    }

    /// <summary>Inputs of the model, and a class for each.</summary>
    public static byte[] Data(int seed)
    {
        var random = new Random(seed);
        byte[] input = Floats(random, Rows * 8);
        byte[] target = [.. Enumerable.Range(0, Rows).SelectMany(row => BitConverter.GetBytes((long)(row % 4)))];
        return Write([("input", "F32", [Rows, 8], input), ("target", "I64", [Rows], target)]);
    }

    private static byte[] Floats(Random random, int count) => [.. Enumerable.Range(0, count).SelectMany(_ => BitConverter.GetBytes((random.NextSingle() * 2) - 1))];

    private static byte[] Write(IEnumerable<(string Name, string Type, int[] Shape, byte[] Values)> tensors)
    {
        var header = new List<string>();
        var numbers = new List<byte>();
        foreach (var (name, type, shape, values) in tensors)
        {
            int start = numbers.Count;
            numbers.AddRange(values);
            header.Add(string.Create(CultureInfo.InvariantCulture, $"\"{name}\":{{\"dtype\":\"{type}\",\"shape\":[{string.Join(',', shape)}],\"data_offsets\":[{start},{numbers.Count}]}}"));
        }

        string text = $"{{{string.Join(',', header)}}}";
        byte[] head = Encoding.UTF8.GetBytes(text.PadRight((text.Length + 7) / 8 * 8));
        byte[] length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, head.Length);
        return [.. length, .. head, .. numbers];
    }
}
