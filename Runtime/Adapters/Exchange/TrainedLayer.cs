using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters.Exchange;

/// <summary>A trained adapter and the weight that its readers will have.</summary>
/// <param name="Adapter">The adapter, still the caller's.</param>
/// <param name="Before">The layer's weight before training, in the layer's shape: what the adapter was attached to, and with factors that a solver started, their product in it. Still the caller's.</param>
/// <param name="BaseDigest">The digest of the model's own weight (<see cref="BaseBinding.DigestOf"/>), which readers of ours compare; null where it is not known.</param>
internal sealed record TrainedLayer(Adapter Adapter, Tensor Before, string? BaseDigest = null);

/// <summary>What an export may choose.</summary>
internal sealed record AdapterExportSettings
{
    /// <summary>The rank of what has no exact low-rank form.</summary>
    public int FallbackRank { get; init; } = 16;

    /// <summary>The full name of the model's class; null writes no binding.</summary>
    public string? Model { get; init; }

    /// <summary>The paths of all modules of the model, so that names of adapted ones hit no others; empty where they are not known.</summary>
    public IReadOnlyCollection<string> Modules { get; init; } = [];

    /// <summary><c>base_model_name_or_path</c>.</summary>
    public string? BaseModel { get; init; }

    /// <summary><c>task_type</c>.</summary>
    public string? TaskType { get; init; }
}

/// <summary>How a layer was written.</summary>
/// <param name="Path">The layer's path.</param>
/// <param name="Rank">The rank of what was written.</param>
/// <param name="IsExact">Whether the form holds what was trained, up to rounding; else it is the nearest one of its rank.</param>
/// <param name="RelativeError">‖written − trained‖ / ‖trained − before‖ of the weights, in the Frobenius norm; 0 where nothing was learned.</param>
internal sealed record ExportedLayer(string Path, int Rank, bool IsExact, double RelativeError);
