using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace PipelineDsl.Cli.Tests;

/// <summary>Safetensors files, written without the library that reads them.</summary>
internal static class Tensors
{
    /// <summary>A tensor's entry and bytes.</summary>
    public static (string Name, string Dtype, long[] Shape, byte[] Bytes) Of<T>(string name, string dtype, long[] shape, params T[] values)
        where T : unmanaged =>
        (name, dtype, shape, MemoryMarshal.AsBytes<T>(values).ToArray());

    /// <summary>A file.</summary>
    public static byte[] File(string? metadata, params (string Name, string Dtype, long[] Shape, byte[] Bytes)[] tensors)
    {
        var entries = new List<string>();
        if (metadata is not null)
        {
            entries.Add($"\"__metadata__\":{metadata}");
        }

        int start = 0;
        foreach (var (name, dtype, shape, bytes) in tensors)
        {
            entries.Add($"\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":[{string.Join(',', shape)}],\"data_offsets\":[{start},{start + bytes.Length}]}}");
            start += bytes.Length;
        }

        byte[] header = Encoding.UTF8.GetBytes($"{{{string.Join(',', entries)}}}");
        byte[] length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        return [.. length, .. header, .. tensors.SelectMany(tensor => tensor.Bytes)];
    }
}
