using System;
using System.Collections.Generic;
using System.Globalization;
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

    /// <summary>The settings of <c>train</c>, beside its <c>data</c>.</summary>
    public static IReadOnlyList<SettingDescriptor> Train { get; } = SettingDescriptor.ReadFrom(new TrainAttribute(""));

    /// <summary>What is wrong with a recipe's name, or null.</summary>
    public static string? CheckName(string name) =>
        name.Length is > 0 and <= MaxNameLength && name.All(c => c is (>= 'a' and <= 'z') or (>= 'A' and <= 'Z') or (>= '0' and <= '9') or '-' or '_')
            ? null
            : $"the recipe's name is '{name}'; use letters, digits, '-' and '_', at most {MaxNameLength} of them";

    /// <summary>The calibration that an attribute (or the same settings in YAML) asks for.</summary>
    public static Calibration Bind(CalibrateAttribute settings, SourceSpan span, SourceSpan dataSpan) =>
        new(settings.Data, settings.Samples, settings.SequenceLength, span, dataSpan);

    /// <summary>The evaluation that an attribute (or the same settings in YAML) asks for.</summary>
    /// <param name="settings">The settings.</param>
    /// <param name="isPlainLimit">Whether the limit is a number without a percent sign.</param>
    /// <param name="span">Where the limit is written, or the entry.</param>
    /// <param name="dataSpan">Where the file is named.</param>
    /// <param name="report">Takes what is probably not meant.</param>
    public static Evaluation Bind(EvaluateAttribute settings, bool isPlainLimit, SourceSpan span, SourceSpan dataSpan, Action<RecipeDiagnostic> report)
    {
        double limit = settings.MaxRegression;
        if (isPlainLimit && limit > 1)
        {
            string Number(double number) => number.ToString("0.####", CultureInfo.InvariantCulture);
            report(new(DiagnosticIds.InvalidValue, Severity.Warning, $"'maxRegression' is {Number(limit)}, which lets the loss of quality reach {Number(limit * 100)} %; write {Number(limit / 100)} for {Number(limit)} %", span));
        }

        return new(settings.Data, settings.Metric, settings.SequenceLength, limit < 0 ? null : limit, span, dataSpan);
    }

    /// <summary>The training that an attribute (or the same settings in YAML) asks for.</summary>
    /// <param name="settings">The settings.</param>
    /// <param name="given">Those that the user wrote; null when one of them is wrong, which was reported.</param>
    /// <param name="span">Where the entry is written.</param>
    /// <param name="dataSpan">Where the file is named.</param>
    /// <param name="report">Takes each contradiction.</param>
    public static FineTuning Bind(TrainAttribute settings, IReadOnlyList<GivenSetting>? given, SourceSpan span, SourceSpan dataSpan, Action<RecipeDiagnostic> report)
    {
        var training = new FineTuning(settings, new(given ?? []), span, dataSpan);
        foreach (var problem in given is null ? [] : settings.Check(new HashSet<string>(given.Select(setting => setting.Name))))
        {
            report(new(problem.Id, Severity.Error, problem.Message, training.SpanOf(problem.Setting)));
        }

        return training;
    }

    /// <summary>What is wrong with a path of a recipe, or null: it names a file.</summary>
    public static string? CheckFile(string path) => path.Trim().Length == 0 ? "the file's name is blank; name a file of the project"
        : path.Contains("://") ? $"'{path}' is an address; put the file into the project, for builds fetch nothing, and name it"
        : null;

    /// <summary>What is wrong with the place of a path, or null: recipes name files inside the project.</summary>
    public static string? CheckPath(string path)
    {
        bool rooted = path.StartsWith("/", StringComparison.Ordinal) || path.StartsWith("\\", StringComparison.Ordinal) || path.StartsWith("~/", StringComparison.Ordinal) || (path.Length > 1 && path[1] == ':');
        int depth = 0;
        foreach (string segment in path.Split('/', '\\'))
        {
            depth += segment switch { "" or "." => 0, ".." => -1, _ => 1 };
            rooted |= depth < 0;
        }

        return rooted ? $"'{path}' leaves the project, from whose folder paths are read, wherever the recipe lies; name a file inside it, or set the property PipelineDslAllowOutsidePaths to true" : null;
    }
}
