using Microsoft.Win32.SafeHandles;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Runtime.Formats;

/// <summary>Opens files so that what the system says becomes a coded error.</summary>
internal static class ReadableFile
{
    /// <summary>Runs a read.</summary>
    /// <exception cref="PipelineException">PDSL1015: the file is not there. PDSL3012: it cannot be read.</exception>
    public static T Try<T>(string path, Func<string, T> read)
    {
        try
        {
            return read(path);
        }
        catch (Exception failure) when (failure is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new PipelineException(DiagnosticIds.MissingFile, $"'{path}' does not exist; check the path, which is relative to the project", path, failure);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new PipelineException(DiagnosticIds.FileFailed, $"cannot read '{path}': {failure.Message}; check that it is a file and may be read", path, failure);
        }
    }

    /// <summary>Fills a buffer from a place in a file.</summary>
    /// <exception cref="HeaderException">The file ends before.</exception>
    /// <exception cref="IOException">The disk or network fails.</exception>
    public static void Fill(SafeFileHandle handle, Span<byte> destination, long position)
    {
        while (destination.Length > 0)
        {
            int count = RandomAccess.Read(handle, destination, position);
            if (count == 0)
            {
                throw new HeaderException("the file became shorter while it was read");
            }

            destination = destination[count..];
            position += count;
        }
    }
}
