using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Adapters.Exchange;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Formats.Peft;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Models;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Writes what was trained as an adapter that other programs and other applications put beside the same base.</summary>
internal sealed class AdapterPhase(PreparedRun run, IRunObserver observer)
{
    /// <summary>What float32 factors of a change may differ by and still be it. Of a change that is small beside the weight, the merged weight's own rounding is a larger part.</summary>
    private const double Rounding = 1e-5;

    /// <summary>Writes the adapter's folder.</summary>
    /// <param name="trained">What was trained.</param>
    /// <param name="artifact">The artifact's folder.</param>
    /// <returns>The record of the training with the adapter's files.</returns>
    /// <exception cref="PipelineException">PDSL3016: a value is not finite. PDSL3012: a file cannot be written.</exception>
    public TrainingRecord Write(TrainedModel trained, string artifact)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var modules = ModelLayer.Find(run.Model).ToDictionary(layer => layer.Path, StringComparer.Ordinal);
        var layers = trained.Adapters.ToDictionary(item => item.Key, item =>
        {
            var place = modules[item.Key].Weight;
            var before = trained.Weights[item.Key].Materialize().to(place.dtype).reshape(place.shape);
            return new TrainedLayer(item.Value, before, BaseBinding.DigestOf(before));
        });
        string folder = Path.Combine(artifact, ArtifactFiles.Adapter);
        var written = AdapterExport.Write(folder, layers, new() { Model = run.Recipe.Model, Modules = modules.Keys });
        var approximated = new SortedDictionary<string, double>(written.Where(layer => !layer.IsExact && layer.RelativeError > Rounding).ToDictionary(layer => layer.Path, layer => layer.RelativeError), StringComparer.Ordinal);
        using var adapter = PeftFolder.Read(folder);
        string type = adapter.Config.Type.ToString().ToUpperInvariant();
        if (approximated.Count > 0)
        {
            var worst = approximated.MaxBy(layer => layer.Value);
            observer.Report(new(
                DiagnosticIds.NotExportable,
                Severity.Warning,
                FormattableString.Invariant($"the adapter of type {type} holds {(approximated.Count == 1 ? "one layer" : $"{approximated.Count} layers")} only nearly, at most {worst.Value:0.0%} of the change is lost ('{worst.Key}'); the artifact's own weights hold all of it. 'lora' and 'bone' are written exactly"),
                run.Recipe.Train!.Span));
        }

        var files = Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal)
            .Select(file => new ExportedFile($"{ArtifactFiles.Adapter}/{Path.GetFileName(file)}", RecipeFiles.Digest(file), new FileInfo(file).Length));
        return trained.Record with
        {
            Adapter = new(type, written.Max(layer => layer.Rank), adapter.Tensors.Sum(entry => entry.Tensor.numel() * entry.Tensor.element_size()), [.. files], approximated),
        };
    }
}
