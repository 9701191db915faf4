using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Recipes;

/// <summary>The words of a recipe that are no steps, read off their attribute classes as <see cref="StepCatalog"/> reads the steps.</summary>
public static class RecipeCatalog
{
    private const int MaxNameLength = 100;

    /// <summary>What <see cref="CheckName"/> accepts, as a regular expression.</summary>
    internal static readonly string NamePattern = $"^[a-zA-Z0-9_-]{{1,{MaxNameLength}}}$";

    /// <summary>The settings of a recipe itself: <c>weights</c>, <c>tokenizer</c>, <c>seed</c>, <c>budget</c>, <c>allocate</c>, <c>export</c>.</summary>
    public static IReadOnlyList<SettingDescriptor> Recipe { get; } = SettingDescriptor.ReadFrom(new RecipeAttribute(""));

    /// <summary>The settings of <c>calibrate</c>, beside its <c>data</c>.</summary>
    public static IReadOnlyList<SettingDescriptor> Calibrate { get; } = SettingDescriptor.ReadFrom(new CalibrateAttribute(""));

    /// <summary>The settings of <c>evaluate</c>, beside its <c>data</c>.</summary>
    public static IReadOnlyList<SettingDescriptor> Evaluate { get; } = SettingDescriptor.ReadFrom(new EvaluateAttribute(""));

    /// <summary>What is wrong with a recipe's name, or null.</summary>
    public static string? CheckName(string name) =>
        name.Length is > 0 and <= MaxNameLength && name.All(c => c is (>= 'a' and <= 'z') or (>= 'A' and <= 'Z') or (>= '0' and <= '9') or '-' or '_')
            ? null
            : $"the recipe's name is '{name}'; use letters, digits, '-' and '_', at most {MaxNameLength} of them";

    /// <summary>The calibration that an attribute (or the same settings in YAML) asks for.</summary>
    public static Calibration Bind(CalibrateAttribute settings, SourceSpan span, SourceSpan dataSpan) =>
        new(settings.Data, settings.Samples, settings.SequenceLength, span, dataSpan);

    /// <summary>The evaluation that an attribute (or the same settings in YAML) asks for.</summary>
    public static Evaluation Bind(EvaluateAttribute settings, SourceSpan span, SourceSpan dataSpan) =>
        new(settings.Data, settings.Metric, settings.SequenceLength, settings.MaxRegression < 0 ? null : settings.MaxRegression, span, dataSpan);

    /// <summary>What is wrong with a path of a recipe, or null: recipes name files inside the project.</summary>
    public static string? CheckPath(string path)
    {
        bool rooted = path.StartsWith("/", StringComparison.Ordinal) || path.StartsWith("\\", StringComparison.Ordinal) || (path.Length > 1 && path[1] == ':');
        int depth = 0;
        foreach (string segment in path.Split('/', '\\'))
        {
            depth += segment switch { "" or "." => 0, ".." => -1, _ => 1 };
            rooted |= depth < 0;
        }

        return rooted ? $"'{path}' leaves the project; name a file inside it, or set the property PipelineDslAllowOutsidePaths to true" : null;
    }
}
