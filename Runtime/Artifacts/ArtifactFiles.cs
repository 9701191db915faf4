namespace PipelineDsl.Runtime.Artifacts;

/// <summary>The files of an artifact's folder.</summary>
public static class ArtifactFiles
{
    /// <summary>The leaves of every weight expression, and every tensor that was kept.</summary>
    public const string Weights = "model.safetensors";

    /// <summary>What the artifact is and where it comes from.</summary>
    public const string Manifest = "manifest.json";

    /// <summary>What changed, for people.</summary>
    public const string HtmlReport = "report.html";

    /// <summary>What changed, for pull requests.</summary>
    public const string MarkdownReport = "report.md";

    /// <summary>What changed, for programs.</summary>
    public const string JsonReport = "report.json";

    /// <summary>The folder that holds a folder for each layout of another program.</summary>
    public const string Exports = "export";

    /// <summary>The folder of a trained adapter, as PEFT reads it.</summary>
    public const string Adapter = "adapter";

    /// <summary>The folder of tables that an analysis leaves.</summary>
    public const string Analysis = "analysis";

    /// <summary>Those that every artifact has; the manifest comes last, so that an interrupted publication is noticed.</summary>
    public static IReadOnlyList<string> All { get; } = [Weights, HtmlReport, MarkdownReport, JsonReport, Manifest];
}
