namespace PipelineDsl.Runtime.Artifacts;

/// <summary>What a recipe's <c>analyze</c> found in the weights that it leaves.</summary>
public sealed record AnalysisRecord
{
    /// <summary>Directions that tuning added, or null when the recipe does not look for them.</summary>
    public IntruderRecord? IntruderDimensions { get; init; }

    /// <summary>Communication between attention heads, or null when the recipe does not look for it.</summary>
    public ChannelRecord? TalkingHeads { get; init; }

    /// <summary>Files with all scores, below the artifact's folder.</summary>
    public IReadOnlyList<ExportedFile> Files { get; init; } = [];
}

/// <summary>Leading singular directions of tuned weights that no direction before tuning resembles (arXiv:2410.21228).</summary>
/// <param name="Base">The weights before tuning, relative to the project.</param>
/// <param name="TopK">How many leading directions were tested.</param>
/// <param name="Threshold">The largest cosine of an intruder, which is below it.</param>
/// <param name="Side"><c>left</c> or <c>right</c> singular vectors.</param>
/// <param name="Window">How many neighbouring base vectors a direction was compared with at once.</param>
/// <param name="Layers">The compared layers, by path.</param>
/// <param name="Counts">The intruders of all layers by other thresholds and numbers of directions.</param>
/// <param name="Mitigation">What was taken back, or null.</param>
public sealed record IntruderRecord(
    string Base, int TopK, double Threshold, string Side, int Window, IReadOnlyList<IntruderLayer> Layers, IReadOnlyList<IntruderCount> Counts, MitigationRecord? Mitigation)
{
    /// <summary>The intruders of all layers.</summary>
    public int Count => Layers.Sum(layer => layer.Count);
}

/// <summary>The intruders of one layer, before anything was taken back.</summary>
/// <param name="Path">The layer's path.</param>
/// <param name="Count">How many there are.</param>
/// <param name="EnergyShare">Their squared singular values as a share of those of the tested directions.</param>
/// <param name="RelativeUpdate">σ1 of the change over σ1 of the weight before.</param>
/// <param name="MaxCosines">Of each tested direction, its largest cosine with a direction before tuning.</param>
/// <param name="SingularValues">The singular values of the tested directions.</param>
public sealed record IntruderLayer(string Path, int Count, double EnergyShare, double? RelativeUpdate, IReadOnlyList<double> MaxCosines, IReadOnlyList<double> SingularValues);

/// <summary>The intruders of all layers by one threshold among the leading directions.</summary>
/// <param name="Threshold">The threshold.</param>
/// <param name="TopK">How many leading directions are counted.</param>
/// <param name="Count">How many of them are intruders.</param>
public sealed record IntruderCount(double Threshold, int TopK, int Count);

/// <summary>Intruders that were scaled down in the artifact.</summary>
/// <param name="Remain">What remains of their singular values.</param>
/// <param name="Layers">How many layers were changed.</param>
/// <param name="Without">The evaluated quality without it, or null when the recipe does not measure.</param>
/// <param name="Control">The evaluated quality when each change is shrunk as a whole to the same size instead: what is no better than this owes its effect to the size alone.</param>
public sealed record MitigationRecord(double Remain, int Layers, double? Without, double? Control);

/// <summary>Which heads write what later heads read (arXiv:2406.09519).</summary>
/// <param name="Layers">The attention layers, by the paths of their output projections.</param>
/// <param name="Heads">The heads of each.</param>
/// <param name="NormFolded">Whether the gains of norms were folded in.</param>
/// <param name="Baseline">1 / √width: about the score of unrelated directions.</param>
/// <param name="Pairs">How many pairs of heads and kinds of composition were scored.</param>
/// <param name="Channels">The components that stand out, by kind and falling score.</param>
/// <param name="Edits">What was scaled in the artifact.</param>
public sealed record ChannelRecord(
    IReadOnlyList<string> Layers, int Heads, bool NormFolded, double Baseline, int Pairs, IReadOnlyList<ChannelEntry> Channels, IReadOnlyList<HeadEditEntry> Edits);

/// <summary>Components of one head that a later one reads.</summary>
/// <param name="Writer">The earlier head as layer.head.</param>
/// <param name="Reader">The later head.</param>
/// <param name="Type"><c>query</c>, <c>key</c> or <c>value</c>.</param>
/// <param name="Components">The components, by falling singular value.</param>
/// <param name="Score">The composition score, 0 to 1.</param>
/// <param name="ZScore">Standard deviations above the mean.</param>
public sealed record ChannelEntry(string Writer, string Reader, string Type, IReadOnlyList<int> Components, double Score, double ZScore);

/// <summary>A component that was scaled.</summary>
/// <param name="Head">The head as layer.head.</param>
/// <param name="Component">The component.</param>
/// <param name="Factor">What its singular value was multiplied by.</param>
/// <param name="Change">The Frobenius norm of the change of the output projection.</param>
public sealed record HeadEditEntry(string Head, int Component, double Factor, double Change);
