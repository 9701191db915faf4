using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Weights;

namespace PipelineDsl.Runtime.Export;

/// <summary>Writes a folder as model hubs have it: linear layers that fit the format as its tensors, everything else as it is.</summary>
/// <typeparam name="T">What an exporter finds in a weight that fits.</typeparam>
internal abstract class CheckpointExporter<T> : IExporter
    where T : class
{
    /// <summary>The output layer of a model whose embeddings are tied: no weights name it, and readers must still be told to leave it alone.</summary>
    private const string Head = "lm_head";

    /// <inheritdoc/>
    public abstract ExportFormats Format { get; }

    /// <inheritdoc/>
    public ExportOutcome Write(ExportSource source, string folder)
    {
        var floats = new List<FloatLayer>();
        var fitting = new List<(ExportLayer Layer, T Form)>();
        foreach (var layer in source.Layers)
        {
            string reason = "the format quantises linear layers alone";
            if (layer.Kind == LayerKinds.Linear && Fit(layer, out reason) is { } form)
            {
                fitting.Add((layer, form));
            }
            else if (layer.Weight is not Dense)
            {
                floats.Add(new(layer.Path, reason));
            }
        }

        Narrow(fitting, floats);
        var quantized = fitting.Select(item => item.Layer.Path).ToHashSet(StringComparer.Ordinal);
        string[] ignored = [.. source.Linears.Append(Head).Distinct().Where(path => !quantized.Contains(path))];
        var (tensors, configuration) = fitting.Count == 0 ? ([], null) : Describe(fitting, ignored);
        CheckpointFolder.Write(folder, source, [.. tensors, .. source.Layers.Where(layer => !quantized.Contains(layer.Path)).Select(layer => layer.Floats)], configuration);
        return new([.. quantized.Order(StringComparer.Ordinal)], floats, []);
    }

    /// <summary>Finds in a linear layer's weight what the format holds as codes.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="reason">Why there is nothing.</param>
    protected abstract T? Fit(ExportLayer layer, out string reason);

    /// <summary>Leaves out what fits alone and not beside the others.</summary>
    protected virtual void Narrow(List<(ExportLayer Layer, T Form)> fitting, List<FloatLayer> floats)
    {
    }

    /// <summary>The tensors of the layers that fit, and the value of <c>quantization_config</c>.</summary>
    /// <param name="fitting">The layers.</param>
    /// <param name="ignored">The paths of all other linear layers.</param>
    protected abstract (IEnumerable<PendingTensor> Tensors, JsonObject Configuration) Describe(IReadOnlyList<(ExportLayer Layer, T Form)> fitting, string[] ignored);
}
