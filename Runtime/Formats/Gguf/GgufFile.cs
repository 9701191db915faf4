using Microsoft.Win32.SafeHandles;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Runtime.Formats.Gguf;

/// <summary>A GGUF file, opened and checked; tensors are read one by one, never the whole file.</summary>
internal sealed class GgufFile : IDisposable
{
    private readonly SafeFileHandle handle;
    private readonly GgufHeader header;
    private readonly Dictionary<string, GgufTensorInfo> byName;

    private GgufFile(string path, SafeFileHandle handle, GgufHeader header)
    {
        Path = path;
        this.handle = handle;
        this.header = header;
        byName = header.Tensors.ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The key-value pairs.</summary>
    public IReadOnlyDictionary<string, GgufValue> Values => header.Values;

    /// <summary>The tensors, in the order of the file.</summary>
    public IReadOnlyList<GgufTensorInfo> Tensors => header.Tensors;

    /// <summary>Opens a file and checks its whole header before any data is read.</summary>
    /// <exception cref="PipelineException">PDSL1015: it is not there. PDSL3012: it cannot be read. PDSL3002: it breaks the format; the message names the entry and the reason.</exception>
    public static GgufFile Open(string path) => ReadableFile.Try(path, OpenChecked);

    /// <summary>A tensor's name, type and size.</summary>
    /// <exception cref="PipelineException">PDSL3002: there is no such tensor.</exception>
    public GgufTensorInfo Info(string name) => byName.GetValueOrDefault(name)
        ?? throw new PipelineException(DiagnosticIds.BrokenWeights, $"'{Path}' holds no tensor '{name}'; check the name, or take the weights that belong to the model", Path);

    /// <summary>Reads a part of a tensor's bytes.</summary>
    /// <param name="name">The tensor.</param>
    /// <param name="offset">Where to start, from the tensor's first byte.</param>
    /// <param name="destination">Filled completely.</param>
    /// <exception cref="PipelineException">PDSL3002: there is no such tensor, or the file changed since it was opened. PDSL3012: it cannot be read.</exception>
    public void ReadBytes(string name, long offset, Span<byte> destination)
    {
        var info = Info(name);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(destination.Length, info.ByteCount - offset);
        try
        {
            ReadableFile.Fill(handle, destination, header.DataStart + info.Offset + offset);
        }
        catch (HeaderException broken)
        {
            throw Broken(Path, $"tensor '{name}': {broken.Message}");
        }
        catch (IOException failure)
        {
            throw new PipelineException(DiagnosticIds.FileFailed, $"cannot read tensor '{name}' of '{Path}': {failure.Message}; check the disk or network that holds it", Path, failure);
        }
    }

    /// <summary>Reads a tensor's values.</summary>
    /// <returns>All values, rows one after the other.</returns>
    /// <exception cref="PipelineException">As <see cref="ReadBytes"/>; PDSL3002 also for a type that has no decoder.</exception>
    public float[] ReadValues(string name)
    {
        var info = Info(name);
        if (!GgmlBlocks.CanDecode(info.Type))
        {
            throw Broken(Path, $"tensor '{name}' has type {info.Type}, which is not decoded");
        }

        byte[] bytes = new byte[info.ByteCount];
        ReadBytes(name, 0, bytes);
        float[] values = new float[info.Elements];
        GgmlBlocks.Decode(info.Type, bytes, values);
        return values;
    }

    /// <inheritdoc/>
    public void Dispose() => handle.Dispose();

    private static GgufFile OpenChecked(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 1 << 16);
        try
        {
            var header = GgufHeader.Parse(stream);
            return new(path, File.OpenHandle(path, share: FileShare.Read | FileShare.Delete, options: FileOptions.RandomAccess), header);
        }
        catch (Exception broken) when (broken is HeaderException or EndOfStreamException)
        {
            throw Broken(path, broken.Message);
        }
    }

    private static PipelineException Broken(string path, string reason) =>
        new(DiagnosticIds.BrokenWeights, $"'{path}' is no valid GGUF file: {reason}; get or write the file again", path);
}
