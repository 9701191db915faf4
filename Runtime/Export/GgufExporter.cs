using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Gguf;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Export;

/// <summary>A file for llama.cpp, of a model of the llama architecture. Grids whose steps fit become Q4_0 or Q8_0, with one scale repeated where its group has several blocks.</summary>
internal sealed class GgufExporter : IExporter
{
    private const string FileName = "model.gguf";

    /// <inheritdoc/>
    public ExportFormats Format => ExportFormats.Gguf;

    /// <inheritdoc/>
    public void Check(PreparedRun run)
    {
        var place = run.Recipe.ExportSpan ?? run.Recipe.Span;
        if (!run.Paths.TryGetValue(RecipeFiles.Configuration, out string? path))
        {
            throw new PipelineException(DiagnosticIds.NotExportable, "export 'gguf' reads the model's sizes from 'config.json' beside the weights, which is not there; add it, or drop the format", place);
        }

        var settings = LlamaSettings.Read(path);
        if (ExportSource.NamesOf(run).FirstOrDefault(name => LlamaTensor.Find(name, settings) is null) is { } unknown)
        {
            throw new PipelineException(DiagnosticIds.NotExportable, $"export 'gguf' has no name for the model's tensor '{unknown}'; it knows models of the llama architecture with the names of their published weights, so drop the format", place);
        }
    }

    /// <inheritdoc/>
    public ExportOutcome Write(ExportSource source, string folder)
    {
        var settings = LlamaSettings.Read(source.Paths[RecipeFiles.Configuration]);
        var floats = new List<FloatLayer>();
        var quantized = new List<string>();
        var tensors = new List<(LlamaTensor Place, GgufPendingTensor Tensor)>();
        foreach (var layer in source.Layers)
        {
            var place = LlamaTensor.Find(layer.WeightName, settings)!;
            if (GgufGrid.Find(layer.Weight, out string reason) is { } grid)
            {
                quantized.Add(layer.Path);
                tensors.Add((place, grid.Tensor(place)));
                continue;
            }

            if (layer.Weight is not Dense)
            {
                floats.Add(new(layer.Path, reason));
            }

            tensors.Add((place, FloatTensor(place, layer.Floats)));
        }

        tensors.AddRange(source.Others.Select(other => (LlamaTensor.Find(other.Name, settings)!, other)).Select(item => (item.Item1, FloatTensor(item.Item1, item.other))));
        List<GgufPendingTensor> ordered = [.. tensors.OrderBy(item => item.Place.Block ?? -1).ThenBy(item => item.Place.Name, StringComparer.Ordinal).Select(item => item.Tensor)];
        var notes = new List<string>();
        if (source.Layers.Select(layer => layer.Floats).Concat(source.Others).Any(tensor => tensor.Type.Bits > 32))
        {
            notes.Add("it holds float64 tensors as float32");
        }

        var vocabulary = Vocabulary(source, settings, notes);
        GgufWriter.Write(Path.Combine(folder, FileName), [.. General(source, ordered, quantized.Count > 0), .. settings.Values(), .. vocabulary], ordered);
        return new(quantized, floats, notes);
    }

    private static IEnumerable<KeyValuePair<string, GgufValue>> General(ExportSource source, List<GgufPendingTensor> tensors, bool isQuantized)
    {
        var main = tensors.Where(tensor => tensor.Dimensions.Count == 2).GroupBy(tensor => tensor.Type).OrderByDescending(group => group.Sum(tensor => tensor.Dimensions[0] * tensor.Dimensions[1])).Select(group => group.Key).FirstOrDefault(GgmlType.F32);
        yield return new("general.architecture", "llama");
        yield return new("general.name", source.Name);
        yield return new("general.file_type", main.Name switch { "F16" => 1u, "Q4_0" => 2u, "Q8_0" => 7u, "BF16" => 32u, _ => 0u });
        if (isQuantized)
        {
            yield return new("general.quantization_version", 2u);
        }
    }

    private static IReadOnlyList<KeyValuePair<string, GgufValue>> Vocabulary(ExportSource source, LlamaSettings settings, List<string> notes)
    {
        if (!source.Paths.TryGetValue(RecipeFiles.Tokenizer, out string? path))
        {
            notes.Add("it holds no tokenizer, because none stands beside the weights");
            return [];
        }

        var values = GgufVocabulary.Read(path, (int)settings.Vocabulary, out string? problem);
        if (problem is not null)
        {
            notes.Add($"it holds no tokenizer: {problem}");
        }

        return values;
    }

    /// <summary>Plain floats: vectors in float32, matrices in the dtype that they have, where the format has it.</summary>
    private static GgufPendingTensor FloatTensor(LlamaTensor place, PendingTensor source)
    {
        var (type, scalar) = source.Shape.Count < 2 ? (GgmlType.F32, float32) : source.Type.Name switch
        {
            "F16" => (GgmlType.F16, float16),
            "BF16" => (GgmlType.BF16, bfloat16),
            _ => (GgmlType.F32, float32),
        };
        return new(place.Name, type, [.. source.Shape.Reverse()], stream =>
        {
            using var scope = NewDisposeScope();
            var values = source.Load().to(scalar);
            SafetensorsWriter.WriteBytes(stream, place.RotaryHeads is null ? values : values.index_select(0, tensor(place.RowOrder((int)source.Shape[0]))));
        });
    }
}
