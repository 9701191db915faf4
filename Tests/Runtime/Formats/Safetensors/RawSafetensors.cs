using System.Buffers.Binary;
using System.Text;

namespace PipelineDsl.Runtime.Tests.Formats.Safetensors;

/// <summary>Safetensors files made byte by byte, without the writer under test.</summary>
internal static class RawSafetensors
{
    public static byte[] Of(string header, int dataBytes) => Of(Encoding.UTF8.GetBytes(header), dataBytes);

    public static byte[] Of(byte[] header, int dataBytes) => Of(header, (ulong)header.Length, dataBytes);

    public static byte[] Of(byte[] header, ulong announcedHeaderBytes, int dataBytes)
    {
        byte[] file = new byte[8 + header.Length + dataBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(file, announcedHeaderBytes);
        header.CopyTo(file, 8);
        for (int i = 0; i < dataBytes; i++)
        {
            file[8 + header.Length + i] = (byte)i;
        }

        return file;
    }

    public static string Entry(string name, string type, string shape, string offsets) =>
        $$"""
        "{{name}}":{"dtype":"{{type}}","shape":{{shape}},"data_offsets":{{offsets}}}
        """;
}
