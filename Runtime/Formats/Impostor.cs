namespace PipelineDsl.Runtime.Formats;

/// <summary>What a failed or forgotten download leaves in the place of weights.</summary>
internal static class Impostor
{
    /// <summary>What a file really is, with the cure, or null when it may be weights.</summary>
    /// <param name="start">The file's first bytes.</param>
    public static string? Find(ReadOnlySpan<byte> start)
    {
        var text = start.TrimStart(" \t\r\n"u8);
        return text.StartsWith("version https://git-lfs"u8) ? "it is a Git LFS pointer, not the weights (fetch them with 'git lfs pull')"
            : start.StartsWith("PK"u8) ? "it is a ZIP archive, as PyTorch writes them (convert it to safetensors)"
            : text.StartsWith("<!"u8) || text.StartsWith("<html"u8) || text.StartsWith("<?xml"u8) ? "it is a web page, not the weights"
            : null;
    }
}
