using System.Text.Json.Nodes;

namespace PipelineDsl.Runtime.Artifacts;

/// <summary>What an artifact is and where it comes from: <c>manifest.json</c>. Same inputs give the same bytes; it names no time, machine or absolute path.</summary>
public sealed record Manifest
{
    /// <summary>The version of this layout.</summary>
    public const int CurrentSchema = 1;

    /// <summary>The layout that the file was written in.</summary>
    public int Schema { get; init; } = CurrentSchema;

    /// <summary>The recipe's name.</summary>
    public required string Recipe { get; init; }

    /// <summary>The full name of the model's class.</summary>
    public required string Model { get; init; }

    /// <summary>The version of this library.</summary>
    public required string Engine { get; init; }

    /// <summary>The versions of the tensor library and of libtorch.</summary>
    public required string TensorLibrary { get; init; }

    /// <summary><c>cpu</c> or <c>cuda</c>.</summary>
    public required string Device { get; init; }

    /// <summary>The recipe's seed.</summary>
    public required long Seed { get; init; }

    /// <summary>SHA-256 of the resolved plan.</summary>
    public required string Plan { get; init; }

    /// <summary>The files that went in, by role: <c>weights</c>, <c>tokenizer</c>, <c>calibration</c>, <c>training</c>, <c>validation</c>, <c>base</c>, <c>evaluation</c>.</summary>
    public required SortedDictionary<string, SourceFile> Sources { get; init; }

    /// <summary>SHA-256 of <c>model.safetensors</c>.</summary>
    public required string Weights { get; init; }

    /// <summary>Bytes of all tensors, before and after.</summary>
    public required ByteTotals Bytes { get; init; }

    /// <summary>Quality before and after, or null when the recipe does not measure it.</summary>
    public QualityRecord? Quality { get; init; }

    /// <summary>How a budget was spent, or null when the recipe has none.</summary>
    public AllocationRecord? Allocation { get; init; }

    /// <summary>How layers were trained, or null when the recipe trains none.</summary>
    public TrainingRecord? Training { get; init; }

    /// <summary>What was found in the weights, or null when the recipe does not look.</summary>
    public AnalysisRecord? Analysis { get; init; }

    /// <summary>Every compressed layer, by path.</summary>
    public required IReadOnlyList<LayerRecord> Layers { get; init; }

    /// <summary>The sizes that the model can be loaded in, or null when it has only one.</summary>
    public ElasticRecord? Elastic { get; init; }

    /// <summary>Every tensor that is stored as it was, by name.</summary>
    public required IReadOnlyList<TensorRecord> Kept { get; init; }

    /// <summary>The layouts of other programs that were written too, or null when the recipe asks for none.</summary>
    public IReadOnlyList<ExportRecord>? Exports { get; init; }

    /// <summary>What the user should know, in words.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }
}

/// <summary>A file that went into an artifact.</summary>
/// <param name="Path">Relative to the project.</param>
/// <param name="Sha256">Hexadecimal.</param>
/// <param name="Bytes">Its length.</param>
public sealed record SourceFile(string Path, string Sha256, long Bytes);

/// <summary>Bytes of tensor data.</summary>
/// <param name="Before">Of the original weights.</param>
/// <param name="After">Of the artifact.</param>
public sealed record ByteTotals(long Before, long After);

/// <summary>Measured quality.</summary>
/// <param name="Metric"><c>perplexity</c>, <c>loss</c> or <c>accuracy</c>.</param>
/// <param name="Before">Of the original model.</param>
/// <param name="After">Of the compressed model.</param>
/// <param name="Regression">The relative loss of quality; negative when it got better.</param>
/// <param name="MaxRegression">The limit, or null.</param>
public sealed record QualityRecord(string Metric, double Before, double After, double Regression, double? MaxRegression);

/// <summary>One compressed layer.</summary>
/// <param name="Path">Its path in the model.</param>
/// <param name="Kind"><c>linear</c>, <c>embedding</c> or <c>conv2d</c>.</param>
/// <param name="Shape">The shape of its weight tensor.</param>
/// <param name="Source">SHA-256 of the original weight's bytes.</param>
/// <param name="Key">The content key of its unit of work.</param>
/// <param name="Steps">The resolved steps, in order.</param>
/// <param name="BytesBefore">Bytes of weight and bias before.</param>
/// <param name="BytesAfter">Bytes of weight and bias after.</param>
/// <param name="Bias">Whether a bias is stored under <c>path.bias</c>.</param>
/// <param name="Weight">The weight expression; its leaves are stored under <c>path.leaf</c>.</param>
/// <param name="Facts">Numbers of the solver by name; <c>relativeError</c> is always there.</param>
/// <param name="Spectrum">Singular values in the metric of the decomposition, descending, or nothing.</param>
/// <param name="Notes">What the solver changed about the request.</param>
public sealed record LayerRecord(
    string Path,
    string Kind,
    IReadOnlyList<long> Shape,
    string Source,
    string Key,
    IReadOnlyList<string> Steps,
    long BytesBefore,
    long BytesAfter,
    bool Bias,
    JsonObject Weight,
    SortedDictionary<string, double> Facts,
    IReadOnlyList<double> Spectrum,
    IReadOnlyList<string> Notes);

/// <summary>A tensor stored as it was.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Shape">Its shape.</param>
/// <param name="Bytes">Its bytes.</param>
public sealed record TensorRecord(string Name, IReadOnlyList<long> Shape, long Bytes);
