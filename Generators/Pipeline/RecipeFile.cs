using System;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;

namespace PipelineDsl.Generators.Pipeline;

/// <summary>How the build tells the compiler which of its files are recipes.</summary>
internal static class RecipeFile
{
    /// <summary>The metadata by which the build says so.</summary>
    public const string Mark = "build_metadata.AdditionalFiles.PipelineRecipe";

    /// <summary>Whether a file was given as a <c>PipelineRecipe</c>.</summary>
    public static bool IsMarked(AnalyzerConfigOptionsProvider options, AdditionalText file) =>
        options.GetOptions(file).TryGetValue(Mark, out string? marked) && string.Equals(marked, "true", StringComparison.OrdinalIgnoreCase);
}
