using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using PipelineDsl.Diagnostics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Formats.Safetensors;

/// <summary>A safetensors file, opened and checked; tensors are read one by one, never the whole file.</summary>
public sealed class SafetensorsFile : IDisposable
{
    private const int PieceBytes = 1 << 20;

    private readonly SafeFileHandle handle;
    private readonly Dictionary<string, TensorInfo> tensors;
    private readonly long dataStart;

    private SafetensorsFile(string path, SafeFileHandle handle, SafetensorsHeader header, long dataStart)
    {
        Path = path;
        this.handle = handle;
        this.dataStart = dataStart;
        tensors = header.Tensors.ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);
        Names = [.. tensors.Keys.Order(StringComparer.Ordinal)];
        Metadata = header.Metadata;
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The tensors' names, sorted.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>The key-value pairs that the writer left.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Opens a file and checks its whole header before any data is read.</summary>
    /// <exception cref="PipelineException">PDSL1015: it is not there. PDSL3012: it cannot be read. PDSL3002: it breaks the format; the message names the entry and the reason.</exception>
    public static SafetensorsFile Open(string path) => ReadableFile.Try(path, OpenChecked);

    /// <summary>Whether the file holds a tensor.</summary>
    public bool Contains(string name) => tensors.ContainsKey(name);

    /// <summary>Type, shape and size of a tensor.</summary>
    /// <exception cref="PipelineException">PDSL3002: there is no such tensor.</exception>
    public TensorInfo Info(string name) => tensors.GetValueOrDefault(name)
        ?? throw new PipelineException(DiagnosticIds.BrokenWeights, $"'{Path}' holds no tensor '{name}'; check the name, or take the weights that belong to the model", Path);

    /// <summary>Reads a tensor in its own dtype. The caller owns it.</summary>
    /// <exception cref="PipelineException">PDSL3002: there is no such tensor, its dtype is none of the tensor library's, or the file changed since it was opened.</exception>
    public Tensor Read(string name)
    {
        var info = Info(name);
        return ReadInto(info, 0, [.. info.Shape]);
    }

    /// <summary>Reads neighbouring rows (slices along the first axis) of a tensor. The caller owns the result [count, …].</summary>
    /// <param name="name">A tensor with at least one axis.</param>
    /// <param name="start">The first row.</param>
    /// <param name="count">The number of rows.</param>
    /// <exception cref="PipelineException">As <see cref="Read"/>.</exception>
    public Tensor ReadRows(string name, long start, long count)
    {
        var info = Info(name);
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start + count, info.Shape[0]);
        long rowBytes = info.Shape[0] == 0 ? 0 : info.ByteCount / info.Shape[0];
        return ReadInto(info, start * rowBytes, [count, .. info.Shape.Skip(1)]);
    }

    /// <summary>Reads a part of a tensor's bytes.</summary>
    /// <param name="name">The tensor.</param>
    /// <param name="offset">Where to start, from the tensor's first byte.</param>
    /// <param name="destination">Filled completely.</param>
    /// <exception cref="PipelineException">PDSL3002: there is no such tensor, or the file changed since it was opened.</exception>
    public void ReadBytes(string name, long offset, Span<byte> destination)
    {
        var info = Info(name);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset + destination.Length, info.ByteCount);
        FillData(info, offset, destination);
    }

    /// <summary>SHA-256 of a tensor's bytes, in lower-case hexadecimal digits.</summary>
    /// <exception cref="PipelineException">PDSL3002: there is no such tensor, or the file changed since it was opened.</exception>
    public string Digest(string name)
    {
        var info = Info(name);
        return HashOf(dataStart + info.Offset, info.ByteCount, CancellationToken.None);
    }

    /// <summary>SHA-256 of the whole file, in lower-case hexadecimal digits.</summary>
    public string FileDigest(CancellationToken cancellation = default) => HashOf(0, RandomAccess.GetLength(handle), cancellation);

    /// <summary>What the system says of the open file now.</summary>
    /// <exception cref="PipelineException">PDSL3012: the system does not say.</exception>
    internal FileStamp Stamp() => ReadableFile.Try(Path, path => new FileStamp(
        System.IO.Path.GetFullPath(path), RandomAccess.GetLength(handle), File.GetCreationTimeUtc(handle), File.GetLastWriteTimeUtc(handle)));

    /// <inheritdoc/>
    public void Dispose() => handle.Dispose();

    private static SafetensorsFile OpenChecked(string path)
    {
        var handle = File.OpenHandle(path, share: FileShare.Read | FileShare.Delete, options: FileOptions.RandomAccess);
        try
        {
            long length = RandomAccess.GetLength(handle);
            int headerBytes = HeaderBytes(handle, length);
            byte[] json = new byte[headerBytes];
            ReadableFile.Fill(handle, json, 8);
            return new SafetensorsFile(path, handle, SafetensorsHeader.Parse(json, length - 8 - headerBytes), 8 + headerBytes);
        }
        catch (HeaderException broken)
        {
            handle.Dispose();
            throw Broken(path, broken.Message);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    private static int HeaderBytes(SafeFileHandle handle, long length)
    {
        Span<byte> start = stackalloc byte[64];
        start = start[..RandomAccess.Read(handle, start, 0)];
        if (Impostor.Find(start) is { } impostor)
        {
            throw new HeaderException(impostor);
        }

        if (start.Length < 8)
        {
            throw new HeaderException($"too short for a header: {length} bytes where at least 8 are needed");
        }

        ulong size = BinaryPrimitives.ReadUInt64LittleEndian(start);
        return size > SafetensorsHeader.MaxBytes ? throw new HeaderException($"the header size {size} is over the limit of {SafetensorsHeader.MaxBytes}")
            : (long)size > length - 8 ? throw new HeaderException($"the header of {size} bytes runs past the end of the file of {length} bytes")
            : (int)size;
    }

    private Tensor ReadInto(TensorInfo info, long offset, long[] shape)
    {
        var type = info.Type.Torch
            ?? throw Broken(Path, $"tensor '{info.Name}' has dtype {info.Type}, which the tensor library cannot hold; convert it to F32, F16 or BF16");
        var tensor = empty(shape, type);
        try
        {
            using var flat = tensor.view(-1);
            int elementBytes = info.Type.Bits / 8;
            long pieceElements = PieceBytes / elementBytes;
            for (long done = 0; done < flat.shape[0]; done += pieceElements)
            {
                using var piece = flat.narrow(0, done, Math.Min(pieceElements, flat.shape[0] - done));
                FillData(info, offset + (done * elementBytes), piece.bytes);
            }

            return tensor;
        }
        catch
        {
            tensor.Dispose();
            throw;
        }
    }

    private void FillData(TensorInfo info, long offset, Span<byte> destination) =>
        Fill(destination, dataStart + info.Offset + offset, $"tensor '{info.Name}'");

    private void Fill(Span<byte> destination, long position, string what)
    {
        try
        {
            ReadableFile.Fill(handle, destination, position);
        }
        catch (HeaderException broken)
        {
            throw Broken(Path, $"{what}: {broken.Message}");
        }
        catch (IOException failure)
        {
            throw new PipelineException(DiagnosticIds.FileFailed, $"cannot read {what} of '{Path}': {failure.Message}; check the disk or network that holds it", Path, failure);
        }
    }

    private string HashOf(long position, long count, CancellationToken cancellation)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(PieceBytes);
        try
        {
            for (long done = 0; done < count; done += PieceBytes)
            {
                cancellation.ThrowIfCancellationRequested();
                var piece = buffer.AsSpan(0, (int)Math.Min(PieceBytes, count - done));
                Fill(piece, position + done, "a piece");
                hash.AppendData(piece);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static PipelineException Broken(string path, string reason) =>
        new(DiagnosticIds.BrokenWeights, $"'{path}' is no valid safetensors file: {reason}; get or write the file again", path);
}
