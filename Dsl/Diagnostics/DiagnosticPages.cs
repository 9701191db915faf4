namespace PipelineDsl.Diagnostics;

/// <summary>Where the page of a diagnostic is found.</summary>
public static class DiagnosticPages
{
    /// <summary>The address of the folder of pages.</summary>
    public const string Folder = "https://github.com/pipelinedsl/pipelinedsl/blob/main/docs/";

    /// <summary>The address of a diagnostic's page.</summary>
    /// <param name="id">One of <see cref="DiagnosticIds"/>.</param>
    public static string Of(string id) => Folder + id + ".md";
}
