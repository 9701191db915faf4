using System.Text;

namespace PipelineDsl.Runtime.Tests.Formats.Gguf;

/// <summary>GGUF files made byte by byte, without the writer under test.</summary>
internal sealed class RawGguf
{
    private readonly List<byte> bytes = [.. "GGUF"u8];

    public RawGguf(uint version, ulong tensors, ulong values) => Number(version).Number(tensors).Number(values);

    public RawGguf Number(uint value) => Bytes(BitConverter.GetBytes(value));

    public RawGguf Number(ulong value) => Bytes(BitConverter.GetBytes(value));

    public RawGguf Text(string text) => Number((ulong)Encoding.UTF8.GetByteCount(text)).Bytes(Encoding.UTF8.GetBytes(text));

    public RawGguf Value(string key, uint value) => Text(key).Number(4u).Number(value);

    public RawGguf Tensor(string name, uint type, ulong offset, params ulong[] dimensions)
    {
        Text(name).Number((uint)dimensions.Length);
        foreach (ulong size in dimensions)
        {
            Number(size);
        }

        return Number(type).Number(offset);
    }

    public RawGguf Bytes(params byte[] content)
    {
        bytes.AddRange(content);
        return this;
    }

    public byte[] Data(int count) => Bytes(new byte[(32 - bytes.Count % 32) % 32]).Bytes(new byte[count]).ToArray();

    public byte[] ToArray() => [.. bytes];
}
