namespace PipelineDsl.Runtime.Comparison;

/// <summary>What differs between two artifacts, or between two lock files, layer by layer. "Old" and "new" are the two sides as they were named.</summary>
/// <remarks>The names of these records are the keys of the JSON that <see cref="ComparisonText.ToJson"/> writes; they stay.</remarks>
public sealed record ComparisonReport
{
    /// <summary>The version of this layout.</summary>
    public int Schema { get; init; } = 1;

    /// <summary><c>artifact</c> or <c>lock</c>.</summary>
    public required string Kind { get; init; }

    /// <summary>The first side.</summary>
    public required ComparedSide Old { get; init; }

    /// <summary>The second side.</summary>
    public required ComparedSide New { get; init; }

    /// <summary>The layers that are not the same on both sides, by path.</summary>
    public required IReadOnlyList<ComparedLayer> Layers { get; init; }

    /// <summary>How many layers are the same.</summary>
    public required int UnchangedLayers { get; init; }

    /// <summary>The files that went in and are not the same, by role.</summary>
    public required IReadOnlyList<ComparedSource> Sources { get; init; }

    /// <summary>What else differs: <c>model</c>, <c>seed</c>, <c>engine</c>, <c>tensorLibrary</c>, <c>device</c>, <c>train</c> and analyses, by name.</summary>
    public required IReadOnlyList<ComparedValue> Values { get; init; }

    /// <summary>Whether both weights files are the same to the bit; null for lock files, which have none.</summary>
    public bool? IdenticalWeights { get; init; }

    /// <summary>Whether nothing differs.</summary>
    public bool IsEmpty => Layers.Count == 0 && Sources.Count == 0 && Values.Count == 0 && IdenticalWeights != false && Old.Quality == New.Quality;
}

/// <summary>One side of a comparison.</summary>
/// <param name="Path">Where it lies.</param>
/// <param name="Recipe">The recipe's name.</param>
/// <param name="Layers">How many layers it compresses.</param>
/// <param name="BytesBefore">Bytes before compression: of all tensors of an artifact, of the compressed layers of a lock file.</param>
/// <param name="BytesAfter">The same after it; predicted in a lock file.</param>
/// <param name="Quality">Measured quality, or null where it was not measured.</param>
public sealed record ComparedSide(string Path, string Recipe, int Layers, long BytesBefore, long BytesAfter, ComparedQuality? Quality);

/// <summary>Quality as an artifact tells it.</summary>
/// <param name="Metric"><c>perplexity</c>, <c>loss</c> or <c>accuracy</c>.</param>
/// <param name="Original">Of the original model.</param>
/// <param name="Compressed">Of the compressed model.</param>
/// <param name="Regression">The relative loss of quality; negative when it got better.</param>
public sealed record ComparedQuality(string Metric, double Original, double Compressed, double Regression);

/// <summary>A layer that is not the same on both sides. What one side does not have is null.</summary>
public sealed record ComparedLayer
{
    /// <summary>Its path in the model.</summary>
    public required string Path { get; init; }

    /// <summary>How it differs.</summary>
    public required LayerDifference Difference { get; init; }

    /// <summary>What changed about its steps; all of them where it is on one side only.</summary>
    public required IReadOnlyList<StepChange> Steps { get; init; }

    /// <summary>The shape of its weight in the old side.</summary>
    public IReadOnlyList<long>? OldShape { get; init; }

    /// <summary>The shape of its weight in the new side.</summary>
    public IReadOnlyList<long>? NewShape { get; init; }

    /// <summary>Bytes after compression in the old side.</summary>
    public long? OldBytes { get; init; }

    /// <summary>Bytes after compression in the new side.</summary>
    public long? NewBytes { get; init; }

    /// <summary>Relative error of the weight in the old side; artifacts only.</summary>
    public double? OldError { get; init; }

    /// <summary>Relative error of the weight in the new side; artifacts only.</summary>
    public double? NewError { get; init; }

    /// <summary>Whether both were made from the same original weight; artifacts only.</summary>
    public bool? SameOriginal { get; init; }

    /// <summary>Whether what is stored is the same to the bit; artifacts whose weights files are there only.</summary>
    public bool? IdenticalWeights { get; init; }
}

/// <summary>How a layer differs.</summary>
public enum LayerDifference
{
    /// <summary>Only the new side compresses it.</summary>
    Added,

    /// <summary>Only the old side compresses it.</summary>
    Removed,

    /// <summary>Both sides compress it, not alike.</summary>
    Changed,
}

/// <summary>A change of a step.</summary>
/// <param name="Step">The name of the step.</param>
/// <param name="Setting">The setting that changed, or null where the whole step is new or gone.</param>
/// <param name="Old">The old value, or the old step; null where it is new.</param>
/// <param name="New">The new value, or the new step; null where it is gone.</param>
public sealed record StepChange(string Step, string? Setting, string? Old, string? New);

/// <summary>A file that went into both sides and is not the same, or into one only.</summary>
/// <param name="Role"><c>weights</c>, <c>tokenizer</c>, <c>calibration</c>, <c>training</c>, <c>validation</c>, <c>evaluation</c>.</param>
/// <param name="Old">SHA-256 of the old one, or null.</param>
/// <param name="New">SHA-256 of the new one, or null.</param>
public sealed record ComparedSource(string Role, string? Old, string? New);

/// <summary>Something else that differs.</summary>
/// <param name="Name">What.</param>
/// <param name="Old">The old value, or null.</param>
/// <param name="New">The new value, or null.</param>
public sealed record ComparedValue(string Name, string? Old, string? New);
