namespace PipelineDsl.Diagnostics;

/// <summary>A place in a user's file; lines and columns start at 1.</summary>
/// <param name="Path">The file, as the compiler names it.</param>
/// <param name="Line">First line.</param>
/// <param name="Column">First column.</param>
/// <param name="EndLine">Last line.</param>
/// <param name="EndColumn">The column after the last character.</param>
public sealed record SourceSpan(string Path, int Line, int Column, int EndLine, int EndColumn)
{
    /// <summary>The start of a file.</summary>
    public static SourceSpan StartOf(string path) => new(path, 1, 1, 1, 1);

    /// <summary>The place as MSBuild writes it: <c>path(line,column,endLine,endColumn)</c>.</summary>
    public override string ToString() => $"{Path}({Line},{Column},{EndLine},{EndColumn})";
}
