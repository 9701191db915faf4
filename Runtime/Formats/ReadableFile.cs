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
}
