using System.Globalization;
using PipelineDsl.Runtime.Formats.Gguf;
using PipelineDsl.Runtime.Formats.Peft;
using PipelineDsl.Runtime.Formats.Safetensors;

namespace PipelineDsl.Cli.Inspection;

/// <summary>What is in a weights file, a folder of shards, or an adapter.</summary>
internal sealed record WeightsInspection
{
    /// <summary>The version of this layout.</summary>
    public int Schema { get; init; } = 1;

    /// <summary><c>safetensors</c>, <c>gguf</c> or <c>adapter</c>.</summary>
    public required string Kind { get; init; }

    /// <summary>What was looked into.</summary>
    public required string Path { get; init; }

    /// <summary>All tensors, or those that the filter chose.</summary>
    public required IReadOnlyList<InspectedTensor> Tensors { get; init; }

    /// <summary>How many tensors there are, chosen or not.</summary>
    public required int Count { get; init; }

    /// <summary>How many values the chosen tensors have.</summary>
    public long Elements => Tensors.Sum(tensor => tensor.Elements);

    /// <summary>How many bytes the chosen tensors have.</summary>
    public long Bytes => Tensors.Sum(tensor => tensor.Bytes);

    /// <summary>What the writer left beside the tensors; the settings of an adapter.</summary>
    public required IReadOnlyDictionary<string, string> Metadata { get; init; }

    /// <summary>Lists a safetensors file, a shard index, or a folder of either.</summary>
    public static WeightsInspection OfSafetensors(WeightStore store, Selection selection) =>
        Of("safetensors", store.Path, [.. store.Names.Select(store.Info)], store.ReadBytes, store.Metadata, selection);

    /// <summary>Lists an adapter.</summary>
    public static WeightsInspection OfAdapter(string folder, PeftConfig config, SafetensorsFile file, Selection selection) =>
        Of("adapter", folder, [.. file.Names.Select(file.Info)], file.ReadBytes, Settings(config), selection);

    /// <summary>Lists a GGUF file.</summary>
    public static WeightsInspection OfGguf(GgufFile file, Selection selection)
    {
        InspectedTensor[] tensors = [.. file.Tensors.Select(tensor => new InspectedTensor(tensor.Name, tensor.Type.Name, [.. tensor.Dimensions.Reverse()], tensor.ByteCount))];
        return new()
        {
            Kind = "gguf",
            Path = file.Path,
            Tensors = selection.Of(tensors, file.ReadBytes),
            Count = tensors.Length,
            Metadata = file.Values.ToDictionary(entry => entry.Key, entry => Text(entry.Value.Content)),
        };
    }

    private static string Text(object content) => content is GgufArray array ? $"{array.Items.Length} values" : Convert.ToString(content, CultureInfo.InvariantCulture)!;

    private static WeightsInspection Of(string kind, string path, TensorInfo[] tensors, Selection.Reader read, IReadOnlyDictionary<string, string> metadata, Selection selection) => new()
    {
        Kind = kind,
        Path = path,
        Tensors = selection.Of([.. tensors.Select(tensor => new InspectedTensor(tensor.Name, tensor.Type.Name, tensor.Shape, tensor.ByteCount))], read),
        Count = tensors.Length,
        Metadata = metadata,
    };

    private static Dictionary<string, string> Settings(PeftConfig config)
    {
        var settings = new Dictionary<string, string>
        {
            ["type"] = config.Type.ToString().ToUpperInvariant(),
            ["rank"] = $"{config.Rank}",
            ["targets"] = config.Targets.Expression ?? string.Join(", ", config.Targets.Names!),
        };
        Add("alpha", config.Type == PeftType.Lora ? FormattableString.Invariant($"{config.Alpha}") : null);
        Add("rankStabilized", config.UseRsLora ? "true" : null);
        Add("weightDecomposed", config.UseDora ? "true" : null);
        Add("modulesToSave", config.ModulesToSave.Count > 0 ? string.Join(", ", config.ModulesToSave) : null);
        Add("initialization", config.Initialization == PeftConfig.DefaultInitialization ? null : config.Initialization);
        Add("taskType", config.TaskType);
        Add("baseModel", config.BaseModel);
        return settings;

        void Add(string name, string? value)
        {
            if (value is not null)
            {
                settings.Add(name, value);
            }
        }
    }
}
