using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Runtime.Report;

/// <summary>All that <c>report.html</c> shows, as data: <c>report.json</c>. What differs between two runs of one plan stands in <paramref name="Run"/> alone.</summary>
/// <param name="Schema">The version of this layout.</param>
/// <param name="Kind"><c>compression</c> or <c>fineTuning</c>.</param>
/// <param name="Recipe">The recipe's name.</param>
/// <param name="Model">The full name of the model's class.</param>
/// <param name="Verdict">The outcome.</param>
/// <param name="Bytes">Bytes of all tensors, before and after.</param>
/// <param name="Quality">Measured quality, or null when the recipe does not measure it.</param>
/// <param name="Warnings">What the user should know, in words.</param>
/// <param name="LookFirst">Paths of the layers that lose most, worst first.</param>
/// <param name="Layers">Every compressed layer, by path.</param>
/// <param name="Kept">Every tensor that is stored as it was, by name.</param>
/// <param name="Maps">The maps of the bytes, before and after.</param>
/// <param name="Loss">Where the loss comes from, or null where nothing was lost.</param>
/// <param name="TradeOff">What other sizes would lose, or null where it is not known.</param>
/// <param name="Budget">How a budget was spent, or null when the recipe has none.</param>
/// <param name="Training">How layers were trained, or null when the recipe trains none.</param>
/// <param name="Analysis">What was found in the weights, or null when the recipe does not look.</param>
/// <param name="Sizes">The sizes that the model can be loaded in, or null when it has only one.</param>
/// <param name="Exports">The layouts of other programs that were written too.</param>
/// <param name="Provenance">What the artifact was made of and with.</param>
/// <param name="Run">What this run took and found in the cache.</param>
public sealed record ReportDocument(
    int Schema,
    string Kind,
    string Recipe,
    string Model,
    ReportVerdict Verdict,
    ByteTotals Bytes,
    QualityRecord? Quality,
    IReadOnlyList<string> Warnings,
    IReadOnlyList<string> LookFirst,
    IReadOnlyList<ReportedLayer> Layers,
    IReadOnlyList<TensorRecord> Kept,
    ReportMaps Maps,
    ReportLoss? Loss,
    ReportTradeOff? TradeOff,
    AllocationRecord? Budget,
    TrainingRecord? Training,
    AnalysisRecord? Analysis,
    ElasticRecord? Sizes,
    IReadOnlyList<ExportRecord> Exports,
    ReportProvenance Provenance,
    ReportRun Run)
{
    /// <summary>The version of this layout.</summary>
    public const int CurrentSchema = 1;
}

/// <summary>The outcome of a build.</summary>
/// <param name="Passed">Whether quality stayed within the recipe's limit; null where there is none.</param>
/// <param name="Text">The outcome in two or three sentences.</param>
public sealed record ReportVerdict(bool? Passed, string Text);

/// <summary>One compressed layer.</summary>
/// <param name="Path">Its path in the model.</param>
/// <param name="Block">The repeated block it belongs to, else the module around it; empty for none.</param>
/// <param name="Kind"><c>linear</c>, <c>embedding</c> or <c>conv2d</c>.</param>
/// <param name="Shape">The shape of its weight tensor.</param>
/// <param name="Steps">The resolved steps, in order.</param>
/// <param name="BytesBefore">Bytes of weight and bias before.</param>
/// <param name="BytesAfter">Bytes of weight and bias after.</param>
/// <param name="RelativeError">The distance between old and new weight as a share of the old one's size, or null.</param>
/// <param name="AttentionShare">Its share of the sum over all layers of relative error times bytes before; 0 where nothing was lost.</param>
/// <param name="LossShare">Its share of the loss by the basis of <c>loss</c>; 0 where nothing was lost.</param>
/// <param name="TrainedChange">How far training moved the weight as a share of its size, or null where it was not trained.</param>
/// <param name="PredictedLoss">The loss that the solver foretold, or null.</param>
/// <param name="Rank">The number of singular values that were kept, or null.</param>
/// <param name="Facts">Numbers of the solver by name.</param>
/// <param name="Spectrum">Singular values in the metric of the decomposition, descending, or nothing.</param>
/// <param name="Notes">What the solver changed about the request.</param>
public sealed record ReportedLayer(
    string Path,
    string Block,
    string Kind,
    IReadOnlyList<long> Shape,
    IReadOnlyList<string> Steps,
    long BytesBefore,
    long BytesAfter,
    double? RelativeError,
    double AttentionShare,
    double LossShare,
    double? TrainedChange,
    double? PredictedLoss,
    long? Rank,
    SortedDictionary<string, double> Facts,
    IReadOnlyList<double> Spectrum,
    IReadOnlyList<string> Notes);

/// <summary>The maps of a model's bytes, on one scale.</summary>
/// <param name="Before">Of the original weights.</param>
/// <param name="After">Of the artifact.</param>
public sealed record ReportMaps(ReportMap Before, ReportMap After);

/// <summary>A map: equal areas are equal bytes, parts of one module lie together.</summary>
/// <param name="Bytes">What the whole map stands for.</param>
/// <param name="Width">Its width.</param>
/// <param name="Height">Its height.</param>
/// <param name="ThinnestTile">Squared diameter over area of the thinnest tile; 2 is a square.</param>
/// <param name="ThinnestRectangle">The same of the thinnest rectangle in a squarified map of the same tiles without modules.</param>
/// <param name="LeastSlack">In a map of rectangles none of which is longer than three times its width, the least area over share of the bytes.</param>
/// <param name="MostSlack">There, the largest area over share.</param>
/// <param name="Tiles">Layers in their order, then kept tensors; the small ones of these together.</param>
/// <param name="Empty">Layers and tensors without bytes, which have no tile.</param>
public sealed record ReportMap(
    long Bytes, double Width, double Height, double ThinnestTile, double ThinnestRectangle, double LeastSlack, double MostSlack, IReadOnlyList<ReportTile> Tiles, IReadOnlyList<string> Empty);

/// <summary>A part of a map.</summary>
/// <param name="Path">The layer's path or the tensor's name.</param>
/// <param name="Bytes">What its area stands for.</param>
/// <param name="Corners">x and y of each corner of a convex polygon in turn; y grows downwards.</param>
public sealed record ReportTile(string Path, long Bytes, IReadOnlyList<double> Corners);

/// <summary>Where the loss comes from.</summary>
/// <param name="Basis"><c>allocation</c>: what layers cost in the measure by which the budget was spent; <c>errorTimesBytes</c>: relative error times bytes before.</param>
/// <param name="Blocks">Shares of blocks, in the order of the model.</param>
/// <param name="Names">Shares of all layers of one name, largest first.</param>
public sealed record ReportLoss(string Basis, IReadOnlyList<ReportShare> Blocks, IReadOnlyList<ReportShare> Names);

/// <summary>A share of the loss.</summary>
/// <param name="Name">What has it.</param>
/// <param name="Share">From 0 to 1.</param>
public sealed record ReportShare(string Name, double Share);

/// <summary>What other sizes would lose.</summary>
/// <param name="Basis"><c>allocation</c>: what the allocation foretold for other budgets; <c>spectra</c>: the mean share of energy that the decomposed layers give up when all ranks are scaled by one factor.</param>
/// <param name="Points">Sizes with what they lose, by bytes.</param>
/// <param name="Chosen">Where this build stands in the same measure.</param>
public sealed record ReportTradeOff(string Basis, IReadOnlyList<TradeOffPoint> Points, TradeOffPoint Chosen);

/// <summary>What an artifact was made of and with.</summary>
/// <param name="Engine">The version of this library.</param>
/// <param name="TensorLibrary">The versions of the tensor library and of libtorch.</param>
/// <param name="Device"><c>cpu</c> or <c>cuda</c>.</param>
/// <param name="Seed">The recipe's seed.</param>
/// <param name="Plan">SHA-256 of the resolved plan.</param>
/// <param name="Weights">SHA-256 of <c>model.safetensors</c>.</param>
/// <param name="Sources">The files that went in, by role.</param>
public sealed record ReportProvenance(string Engine, string TensorLibrary, string Device, long Seed, string Plan, string Weights, SortedDictionary<string, SourceFile> Sources);

/// <summary>What a run took and found in the cache: other runs of the same plan differ in it.</summary>
/// <param name="Seconds">Wall time of all phases.</param>
/// <param name="Phases">Wall time by phase, in order.</param>
/// <param name="CachedLayers">Layers that came from the cache.</param>
/// <param name="Layers">Every compressed layer, in the order of the layers above.</param>
public sealed record ReportRun(double Seconds, IReadOnlyList<ReportPhase> Phases, int CachedLayers, IReadOnlyList<ReportLayerRun> Layers);

/// <summary>A phase of a run.</summary>
/// <param name="Phase">Its name.</param>
/// <param name="Seconds">Wall time.</param>
public sealed record ReportPhase(string Phase, double Seconds);

/// <summary>How a layer's result came about in a run.</summary>
/// <param name="Path">Its path in the model.</param>
/// <param name="Cached">Whether it came from the cache.</param>
/// <param name="Seconds">How long solving it took, or null.</param>
public sealed record ReportLayerRun(string Path, bool Cached, double? Seconds);
