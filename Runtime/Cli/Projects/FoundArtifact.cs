using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Cli.Projects;

/// <summary>An artifact in few words.</summary>
/// <param name="Path">Its folder.</param>
/// <param name="Recipe">The recipe's name.</param>
/// <param name="Model">The full name of the model's class.</param>
/// <param name="Bytes">Bytes of all tensors.</param>
/// <param name="Quality">Quality before and after, or null where it was not measured.</param>
/// <param name="Report">The report's page, or null where it is not there.</param>
internal sealed record FoundArtifact(string Path, string Recipe, string Model, ByteTotals Bytes, QualityRecord? Quality, string? Report)
{
    private const string Models = "models";

    /// <summary>The artifacts of a folder or a project.</summary>
    /// <param name="target">An artifact's folder, a folder of artifacts, a project, or null for the project in this folder.</param>
    /// <exception cref="PipelineException">PDSL2006: there is no project, or it has no artifacts. PDSL3010: an artifact is damaged.</exception>
    public static IReadOnlyList<FoundArtifact> In(string? target)
    {
        string folder = System.IO.Path.GetFullPath(target ?? Directory.GetCurrentDirectory());
        if (File.Exists(System.IO.Path.Combine(folder, ArtifactFiles.Manifest)))
        {
            return [Read(folder)];
        }

        string[] inside = Directory.Exists(folder) ? [.. Directory.GetDirectories(folder).Where(inner => File.Exists(System.IO.Path.Combine(inner, ArtifactFiles.Manifest))).Order(StringComparer.Ordinal)] : [];
        return inside.Length > 0 ? [.. inside.Select(Read)] : OfProject(ProjectFile.Find(target));
    }

    /// <summary>The newest artifact of each recipe of a project.</summary>
    /// <exception cref="PipelineException">PDSL2006: there are none.</exception>
    public static IReadOnlyList<FoundArtifact> OfProject(string project)
    {
        string folder = System.IO.Path.GetDirectoryName(project)!;
        // What was built last lies in bin; of a library that nothing was copied from, in obj.
        string[] manifests = Manifests(System.IO.Path.Combine(folder, "bin")) is { Length: > 0 } built ? built : Manifests(System.IO.Path.Combine(folder, "obj"));
        FoundArtifact[] newest =
        [
            .. manifests.GroupBy(manifest => System.IO.Path.GetFileName(System.IO.Path.GetDirectoryName(manifest)))
                .Select(recipe => Read(System.IO.Path.GetDirectoryName(recipe.MaxBy(File.GetLastWriteTimeUtc))!)).OrderBy(artifact => artifact.Recipe, StringComparer.Ordinal),
        ];
        return newest.Length > 0 ? newest
            : throw new PipelineException(DiagnosticIds.CommandNotPossible, $"'{project}' has no artifacts; build it ('{CommandLine.Name} run'), or write a first recipe ('{CommandLine.Name} init')", project);
    }

    /// <summary>A table of artifacts. Where it is drawn, the paths of reports stand below it, in one piece.</summary>
    public static void Show(Terminal terminal, IReadOnlyList<FoundArtifact> artifacts)
    {
        string[] head = ["recipe", ">before", ">after", ">smaller", "metric", ">before", ">after", ">change", "report"];
        if (!terminal.DrawsTables)
        {
            terminal.Table(head, [.. artifacts.Select(artifact => artifact.Row())]);
            return;
        }

        terminal.Table(head[..^1], [.. artifacts.Select(artifact => artifact.Row()[..^1])]);
        foreach (var artifact in artifacts)
        {
            terminal.Line(artifact.Row()[^1].Text);
        }
    }

    private static string[] Manifests(string folder) => Directory.Exists(folder)
        ? [.. Directory.EnumerateFiles(folder, ArtifactFiles.Manifest, SearchOption.AllDirectories).Where(manifest => System.IO.Path.GetFileName(System.IO.Path.GetDirectoryName(System.IO.Path.GetDirectoryName(manifest))) == Models)]
        : [];

    private static FoundArtifact Read(string folder)
    {
        var manifest = ManifestFile.Read(folder);
        string report = System.IO.Path.Combine(folder, ArtifactFiles.HtmlReport);
        return new(folder, manifest.Recipe, manifest.Model, manifest.Bytes, manifest.Quality, File.Exists(report) ? report : null);
    }

    private Cell[] Row() =>
    [
        new(Recipe, "bold"),
        Figures.Bytes(Bytes.Before),
        Figures.Bytes(Bytes.After),
        Figures.Ratio(Bytes.Before, Bytes.After),
        Quality?.Metric ?? Figures.Missing,
        Quality is null ? Figures.Missing : Figures.Metric(Quality.Before),
        Quality is null ? Figures.Missing : Figures.Metric(Quality.After),
        Quality is null ? Figures.Missing : new Cell(Figures.Change(Quality.Regression), Quality.Regression <= 0 ? "green" : Quality.Regression > Quality.MaxRegression ? "red" : null),
        Report is null ? Figures.Missing : System.IO.Path.GetRelativePath(Directory.GetCurrentDirectory(), Report),
    ];
}
