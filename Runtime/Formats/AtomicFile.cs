using PipelineDsl.Diagnostics;

namespace PipelineDsl.Runtime.Formats;

/// <summary>Writes a file so that readers see the old content or the new one, never a part of it.</summary>
public static class AtomicFile
{
    /// <summary>Writes to a temporary name beside the target, flushes to disk, and renames.</summary>
    /// <param name="path">The target; its folder is created.</param>
    /// <param name="write">Writes the content. When it throws, the target stays as it was and the temporary file is removed.</param>
    /// <exception cref="PipelineException">PDSL3012: the file cannot be written.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        string target = Path.GetFullPath(path);
        string temporary = $"{target}.{Guid.NewGuid():N}.tmp";
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(target) ?? target);
            WriteThrough(temporary, write);
            File.Move(temporary, target, overwrite: true);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new PipelineException(DiagnosticIds.FileFailed, $"cannot write '{path}': {Reason(failure)}; check the free space and the rights of the folder", path, failure);
        }
        finally
        {
            if (File.Exists(temporary))
            {
                File.Delete(temporary);
            }
        }
    }

    /// <summary>What the system says, without the temporary name that it says it of.</summary>
    private static string Reason(Exception failure) => failure.Message.Split(" : '")[0].TrimEnd('.');

    private static void WriteThrough(string path, Action<Stream> write)
    {
        using var stream = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 1 << 16);
        write(stream);
        stream.Flush(flushToDisk: true);
    }
}
