using System.Security.Cryptography;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Formats.Safetensors;

namespace PipelineDsl.Runtime.Engine;

/// <summary>The files that a recipe names, by role.</summary>
internal sealed class RecipeFiles
{
    /// <summary>The role of the weights.</summary>
    public const string Weights = "weights";

    /// <summary>The role of the tokenizer.</summary>
    public const string Tokenizer = "tokenizer";

    /// <summary>The role of the calibration data.</summary>
    public const string Calibration = "calibration";

    /// <summary>The role of the training data.</summary>
    public const string Training = "training";

    /// <summary>The role of the held-out training data.</summary>
    public const string Validation = "validation";

    /// <summary>The role of the evaluation data.</summary>
    public const string Evaluation = "evaluation";

    /// <summary>The role of the weights before tuning, which an analysis compares with.</summary>
    public const string Base = "base";

    /// <summary>The role of the model's configuration, which exports read.</summary>
    public const string Configuration = "config";

    /// <summary>The roles of files beside the weights that belong into every export, by their names without <c>.json</c>.</summary>
    private static readonly string[] Companions = [Configuration, "generation_config", "special_tokens_map", "tokenizer_config"];

    private readonly SortedDictionary<string, string> names = new(StringComparer.Ordinal);
    private readonly string project;

    private RecipeFiles(string project) => this.project = project;

    /// <summary>The full paths, by role.</summary>
    public IReadOnlyDictionary<string, string> Paths => names.ToDictionary(name => name.Key, name => Path.GetFullPath(Path.Combine(project, name.Value)));

    /// <summary>Finds every file that a recipe names.</summary>
    /// <exception cref="PipelineException">PDSL1015: one is not there.</exception>
    public static RecipeFiles Find(Recipe recipe, string project)
    {
        var files = new RecipeFiles(project);
        files.Add(Weights, recipe.Weights, recipe.WeightsSpan);
        if (recipe.Calibrate is { } calibrate)
        {
            files.Add(Calibration, calibrate.Data, calibrate.DataSpan);
        }

        if (recipe.Train is { } train)
        {
            files.Add(Training, train.Settings.Data, train.DataSpan);
            if (train.Settings.Validation.Length > 0)
            {
                files.Add(Validation, train.Settings.Validation, train.SpanOf(nameof(TrainAttribute.Validation)));
            }
        }

        foreach (var analysis in recipe.Analyze)
        {
            foreach (var (setting, file) in analysis.Analysis.Files.Where(file => file.File.Length > 0))
            {
                files.Add(SettingDescriptor.CamelCase(setting), file, analysis.SpanOf(setting));
            }
        }

        if (recipe.Evaluate is { } evaluate)
        {
            files.Add(Evaluation, evaluate.Data, evaluate.DataSpan);
        }

        if (recipe.Tokenizer is { } tokenizer)
        {
            files.Add(Tokenizer, tokenizer, recipe.TokenizerSpan ?? recipe.Span);
        }
        else if (files.BesideWeights("tokenizer.json") is { } found)
        {
            files.names[Tokenizer] = found;
        }

        foreach (string role in recipe.Export == ExportFormats.None ? [] : Companions)
        {
            if (files.BesideWeights(role + ".json") is { } companion)
            {
                files.names[role] = companion;
            }
        }

        return files;
    }

    /// <summary>Path, digest and size of each file, for the manifest.</summary>
    /// <param name="weights">The open weights.</param>
    /// <param name="digests">What is known of weights' digests.</param>
    public SortedDictionary<string, SourceFile> Describe(WeightStore weights, WeightDigests digests)
    {
        var described = new SortedDictionary<string, SourceFile>(StringComparer.Ordinal);
        foreach (var (role, name) in names)
        {
            string path = Paths[role];
            using var other = role == Base ? WeightStore.Open(path) : null;
            described[role] = (role == Weights ? weights : other) is { } store
                ? new(name, digests.OfFile(store), store.Names.Sum(tensor => store.Info(tensor).ByteCount))
                : new(name, Digest(path), new FileInfo(path).Length);
        }

        return described;
    }

    /// <summary>SHA-256 of a file, hexadecimal.</summary>
    public static string Digest(string path)
    {
        using var stream = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    private void Add(string role, string name, SourceSpan span)
    {
        string path = Path.GetFullPath(Path.Combine(project, name));
        if (!File.Exists(path) && !(role is Weights or Base && Directory.Exists(path)))
        {
            if (Directory.Exists(path))
            {
                throw new PipelineException(DiagnosticIds.MissingFile, $"the {role} file '{name}' is a folder; name a file", span);
            }

            string folder = Path.GetDirectoryName(path)!;
            var there = Directory.Exists(folder) ? Directory.GetFiles(folder).Select(file => Path.GetFileName(file)!) : [];
            throw new PipelineException(DiagnosticIds.MissingFile, $"the {role} file '{name}' is not in the project{NearestName.Hint(Path.GetFileName(name), there)}", span);
        }

        names[role] = name.Replace('\\', '/');
    }

    private string? BesideWeights(string file)
    {
        string weights = names[Weights];
        string folder = Directory.Exists(Path.Combine(project, weights)) ? weights : Path.GetDirectoryName(weights) ?? "";
        string candidate = Path.Combine(folder, file).Replace('\\', '/');
        return File.Exists(Path.Combine(project, candidate)) ? candidate : null;
    }
}
