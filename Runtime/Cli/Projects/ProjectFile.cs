using PipelineDsl.Diagnostics;

namespace PipelineDsl.Cli.Projects;

/// <summary>The project that a command works on.</summary>
internal static class ProjectFile
{
    /// <summary>Finds a project.</summary>
    /// <param name="target">A project file, its folder, or null for the folder that the command is given in.</param>
    /// <returns>The project's full path.</returns>
    /// <exception cref="PipelineException">PDSL2006: there is none, or more than one.</exception>
    public static string Find(string? target)
    {
        string place = Path.GetFullPath(target ?? Directory.GetCurrentDirectory());
        if (File.Exists(place))
        {
            return place.EndsWith("proj", StringComparison.OrdinalIgnoreCase) ? place : throw Missing($"'{place}' is no project; name a project file or its folder", place);
        }

        string[] projects = Directory.Exists(place) ? [.. Directory.GetFiles(place, "*.*proj").Order(StringComparer.Ordinal)] : [];
        return projects switch
        {
            [var only] => only,
            [] => throw Missing($"there is no project in '{place}'; name a project file or its folder", place),
            _ => throw Missing($"'{place}' holds {projects.Length} projects; name one of {string.Join(", ", projects.Select(path => $"'{Path.GetFileName(path)}'"))}", place),
        };
    }

    private static PipelineException Missing(string message, string place) => new(DiagnosticIds.CommandNotPossible, message, place);
}
