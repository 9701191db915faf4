using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;
using PipelineDsl.Diagnostics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Formats.Safetensors;

/// <summary>Writes safetensors files: same tensors in, same bytes out; the target changes only when all of it is on disk.</summary>
public static class SafetensorsWriter
{
    private const int PieceBytes = 1 << 20;

    private static readonly Dictionary<string, string> Nothing = [];

    /// <summary>Writes tensors that are in memory; they stay the caller's.</summary>
    /// <param name="path">The target file.</param>
    /// <param name="tensors">The tensors by name, in any order.</param>
    /// <param name="metadata">Key-value pairs for the header; <c>format</c> is added.</param>
    /// <exception cref="PipelineException">PDSL3012: the file cannot be written.</exception>
    public static void Write(string path, IEnumerable<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata = null) =>
        Write(path, [.. tensors.Select(entry => PendingTensor.Of(entry.Key, entry.Value))], metadata);

    /// <summary>Writes tensors one at a time, each made when its turn comes and disposed after.</summary>
    /// <param name="path">The target file.</param>
    /// <param name="tensors">The tensors, in any order.</param>
    /// <param name="metadata">Key-value pairs for the header; <c>format</c> is added.</param>
    /// <exception cref="ArgumentException">Two tensors have one name, or the format reserves it.</exception>
    /// <exception cref="PipelineException">PDSL3012: the file cannot be written. PDSL3002: the header is over the format's limit.</exception>
    public static void Write(string path, IReadOnlyCollection<PendingTensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        // Widest elements first keeps every tensor aligned to its element size.
        PendingTensor[] ordered = [.. tensors.OrderByDescending(tensor => tensor.Type.Bits).ThenBy(tensor => tensor.Name, StringComparer.Ordinal)];
        byte[] header = Header(ordered, metadata ?? Nothing);
        if (header.Length > SafetensorsHeader.MaxBytes)
        {
            throw new PipelineException(DiagnosticIds.BrokenWeights, $"the header of '{path}' would take {header.Length} bytes, over the format's limit of {SafetensorsHeader.MaxBytes}; write fewer tensors or less metadata", path);
        }

        AtomicFile.Write(path, stream =>
        {
            Span<byte> size = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(size, header.Length);
            stream.Write(size);
            stream.Write(header);
            foreach (var tensor in ordered)
            {
                WriteData(stream, tensor);
            }
        });
    }

    private static byte[] Header(PendingTensor[] ordered, IReadOnlyDictionary<string, string> metadata)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            WriteMetadata(json, metadata);
            WriteEntries(json, ordered);
            json.WriteEndObject();
        }

        while (buffer.Length % 8 != 0)
        {
            buffer.WriteByte((byte)' ');
        }

        return buffer.ToArray();
    }

    private static void WriteMetadata(Utf8JsonWriter json, IReadOnlyDictionary<string, string> metadata)
    {
        json.WriteStartObject(SafetensorsHeader.MetadataKey);
        foreach (var (key, value) in metadata.Where(entry => entry.Key != "format").Append(new("format", "pt")).OrderBy(entry => entry.Key, StringComparer.Ordinal))
        {
            json.WriteString(key, value);
        }

        json.WriteEndObject();
    }

    private static void WriteEntries(Utf8JsonWriter json, PendingTensor[] ordered)
    {
        long offset = 0;
        var names = new HashSet<string>(StringComparer.Ordinal) { SafetensorsHeader.MetadataKey };
        foreach (var tensor in ordered)
        {
            if (!names.Add(tensor.Name))
            {
                throw new ArgumentException($"two tensors are named '{tensor.Name}', or the format reserves the name");
            }

            json.WriteStartObject(tensor.Name);
            json.WriteString("dtype", tensor.Type.Name);
            WriteNumbers(json, "shape", tensor.Shape);
            WriteNumbers(json, "data_offsets", [offset, offset + tensor.ByteCount]);
            json.WriteEndObject();
            offset += tensor.ByteCount;
        }
    }

    private static void WriteNumbers(Utf8JsonWriter json, string name, IEnumerable<long> numbers)
    {
        json.WriteStartArray(name);
        foreach (long number in numbers)
        {
            json.WriteNumberValue(number);
        }

        json.WriteEndArray();
    }

    private static void WriteData(Stream stream, PendingTensor pending)
    {
        using var tensor = pending.Load();
        if (ElementType.Of(tensor.dtype) != pending.Type || !tensor.shape.SequenceEqual(pending.Shape))
        {
            throw new InvalidOperationException($"tensor '{pending.Name}' was announced as {pending.Type} [{string.Join(", ", pending.Shape)}] but is {tensor.dtype} [{string.Join(", ", tensor.shape)}]");
        }

        WriteBytes(stream, tensor);
    }

    /// <summary>Writes a tensor's values in its own dtype, row by row, in pieces of bounded size.</summary>
    internal static void WriteBytes(Stream stream, Tensor tensor)
    {
        using var detached = tensor.detach();
        using var local = detached.cpu();
        using var packed = local.contiguous();
        using var flat = packed.view(-1);
        long pieceElements = PieceBytes / tensor.element_size();
        for (long done = 0; done < flat.shape[0]; done += pieceElements)
        {
            using var piece = flat.narrow(0, done, Math.Min(pieceElements, flat.shape[0] - done));
            stream.Write(piece.bytes);
        }
    }
}
