using PipelineDsl.Diagnostics;

namespace PipelineDsl.Runtime.Formats;

/// <summary>Writes a file so that readers see the old content or the new one, never a part of it.</summary>
public static class AtomicFile
{
    private const string Suffix = ".tmp";
    private const int Attempts = 3;

    /// <summary>Writes to a temporary name beside the target, flushes to disk, and renames; what a killed process left of the same target goes.</summary>
    /// <param name="path">The target; its folder is created.</param>
    /// <param name="write">Writes the content, again when another process took the temporary file for a dead one. When it throws, the target stays as it was and the temporary file is removed.</param>
    /// <exception cref="PipelineException">PDSL3012: the file cannot be written.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        string target = Path.GetFullPath(path);
        try
        {
            string folder = Path.GetDirectoryName(target) ?? target;
            Directory.CreateDirectory(folder);
            RemoveLeft(folder, Path.GetFileName(target));
            for (int attempt = 1; !TryWrite(target, write, attempt == Attempts); attempt++)
            {
            }
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new PipelineException(DiagnosticIds.FileFailed, $"cannot write '{path}': {Reason(failure)}; check the free space and the rights of the folder", path, failure);
        }
    }

    private static bool TryWrite(string target, Action<Stream> write, bool isLast)
    {
        string temporary = $"{target}.{Guid.NewGuid():N}{Suffix}";
        try
        {
            WriteThrough(temporary, write);
            File.Move(temporary, target, overwrite: true);
            return true;
        }
        catch (FileNotFoundException) when (!isLast)
        {
            return false;
        }
        finally
        {
            if (File.Exists(temporary))
            {
                File.Delete(temporary);
            }
        }
    }

    /// <summary>Who writes a file holds it open; one that can be opened for nobody else is a dead process's.</summary>
    private static void RemoveLeft(string folder, string name)
    {
        foreach (string left in Directory.EnumerateFiles(folder, $"{name}.*{Suffix}").Where(file => IsTemporary(Path.GetFileName(file), name)))
        {
            try
            {
                using var unused = new FileStream(left, FileMode.Open, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose);
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                // Another process writes it, or has just renamed it.
            }
        }
    }

    private static bool IsTemporary(string file, string name) =>
        file.Length == name.Length + 1 + 32 + Suffix.Length && Guid.TryParseExact(file.AsSpan(name.Length + 1, 32), "N", out _);

    /// <summary>What the system says, without the temporary name that it says it of.</summary>
    private static string Reason(Exception failure) => failure.Message.Split(" : '")[0].TrimEnd('.');

    private static void WriteThrough(string path, Action<Stream> write)
    {
        using var stream = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 1 << 16);
        write(stream);
        stream.Flush(flushToDisk: true);
    }
}
