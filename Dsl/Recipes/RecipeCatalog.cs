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

    /// <summary>Names under which Windows has no files.</summary>
    private static readonly HashSet<string> DeviceNames = new(["con", "prn", "aux", "nul", .. Enumerable.Range(1, 9).SelectMany(number => new[] { "com" + number, "lpt" + number })], StringComparer.OrdinalIgnoreCase);

    private static readonly string[] Pickles = [".bin", ".pt", ".pth", ".ckpt", ".pkl"];
    private static readonly string[] OtherWeights = [".gguf", ".onnx", ".h5", ".npz", ".npy"];
    private static readonly string[] NoText = [.. Pickles, .. OtherWeights, ".parquet", ".arrow", ".feather", ".zip", ".gz", ".zst", ".tar", ".xlsx", ".pdf"];

    /// <summary>What is wrong with a recipe's name, or null.</summary>
    public static string? CheckName(string name) =>
        DeviceNames.Contains(name) ? $"the recipe's name is '{name}', under which Windows has no files; take another"
        : name.Length is > 0 and <= MaxNameLength && name.All(c => c is (>= 'a' and <= 'z') or (>= 'A' and <= 'Z') or (>= '0' and <= '9') or '-' or '_')
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

        CheckTextSettings(settings.Data, given, report);
        if (settings.Validation.Length > 0 && settings.Validation == settings.Data)
        {
            report(new(DiagnosticIds.InvalidValue, Severity.Warning, "'validation' is the training data itself, which says nothing about other data; name data that is not trained on", training.SpanOf(nameof(TrainAttribute.Validation))));
        }

        return training;
    }

    /// <summary>Reports settings that have no effect on data which is no text.</summary>
    /// <param name="data">The file.</param>
    /// <param name="given">The settings that the user wrote; null when one of them is wrong, which was reported.</param>
    /// <param name="report">Takes each.</param>
    public static void CheckTextSettings(string data, IReadOnlyList<GivenSetting>? given, Action<RecipeDiagnostic> report)
    {
        foreach (var setting in given?.Where(setting => IsRows(data) && setting.Name is nameof(TrainAttribute.SequenceLength) or nameof(TrainAttribute.Packing)) ?? [])
        {
            report(new(DiagnosticIds.WithoutEffect, Severity.Warning, $"'{SettingDescriptor.CamelCase(setting.Name)}' has no effect, for it is about text and '{data}' holds rows of numbers; drop it", setting.Span));
        }
    }

    /// <summary>Whether data is read as rows of numbers, and not as text.</summary>
    internal static bool IsRows(string data) => data.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase);

    /// <summary>What is wrong with a path of a recipe, or null: it names a file.</summary>
    public static string? CheckFile(string path) => path.Trim().Length == 0 ? "the file's name is blank; name a file of the project"
        : path.Contains("://") ? $"'{path}' is an address; put the file into the project, for builds fetch nothing, and name it"
        : path.IndexOfAny(['*', '?']) >= 0 ? $"'{path}' is a pattern, and one file is read; name it"
        : null;

    /// <summary>What is wrong with the kind of a weights file, or null.</summary>
    public static string? CheckWeights(string path) => IsPickle(path) ? $"'{path}' is named like a pickle, which may run any code when it is read and is refused; convert it to safetensors, and name that"
        : Ends(path, OtherWeights) ? $"'{path}' is not named like a safetensors file, and nothing else is read; convert it, or name the weights that it was made of"
        : null;

    /// <summary>What is wrong with the kind of a tokenizer's file, or null.</summary>
    public static string? CheckTokenizer(string path) => Ends(path, [".json"]) ? null : $"'{path}' is not named like JSON, and nothing else is read; name the tokenizer.json of the model, which Hugging Face's libraries save";

    /// <summary>What is wrong with the kind of a data file, or null.</summary>
    public static string? CheckData(string path) => Ends(path, NoText) ? $"'{path}' is named like neither text nor safetensors, and nothing else is read; write its texts to a .txt or .jsonl file, or its numbers as 'input' and 'target' to a .safetensors file" : null;

    /// <summary>Whether a file is named like a pickle, which may run any code when it is read.</summary>
    public static bool IsPickle(string path) => Ends(path, Pickles);

    private static bool Ends(string path, string[] extensions) => extensions.Any(extension => path.EndsWith(extension, StringComparison.OrdinalIgnoreCase));

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
