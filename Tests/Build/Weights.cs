using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace PipelineDsl.Build.Tests;

/// <summary>The weights of the template's model as a safetensors file: a header's length, the header, the numbers.</summary>
internal static class Weights
{
    private static readonly (string Name, int[] Shape)[] Tensors =
        [("fc1.bias", [16]), ("fc1.weight", [16, 8]), ("fc2.bias", [4]), ("fc2.weight", [4, 16])];

    public static byte[] File(int seed) => File(seed, Tensors);

    /// <summary>Rows of inputs for the model.</summary>
    public static byte[] Inputs(int rows) => File(3, [("input", [rows, 8])]);

    private static byte[] File(int seed, (string Name, int[] Shape)[] tensors)
    {
        var header = new List<string>();
        var numbers = new List<byte>();
        var random = new Random(seed);
        foreach ((string name, int[] shape) in tensors)
        {
            int start = numbers.Count;
            for (int index = 0; index < shape.Aggregate((left, right) => left * right); index++)
            {
                numbers.AddRange(BitConverter.GetBytes((random.NextSingle() * 2) - 1));
            }

            header.Add(string.Create(CultureInfo.InvariantCulture, $"\"{name}\":{{\"dtype\":\"F32\",\"shape\":[{string.Join(',', shape)}],\"data_offsets\":[{start},{numbers.Count}]}}"));
        }

        string text = $"{{{string.Join(',', header)}}}";
        byte[] head = Encoding.UTF8.GetBytes(text.PadRight((text.Length + 7) / 8 * 8));
        byte[] length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, head.Length);
        return [.. length, .. head, .. numbers];
    }
}
