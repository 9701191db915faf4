using System.Text.RegularExpressions;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats.Safetensors;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Formats.Peft;

/// <summary>An adapter folder as Hugging Face PEFT reads and writes it: a configuration and the adapter's tensors.</summary>
public static partial class PeftFolder
{
    /// <summary>The file of the configuration.</summary>
    public const string ConfigFile = "adapter_config.json";

    /// <summary>The file of the tensors.</summary>
    public const string WeightsFile = "adapter_model.safetensors";

    private const string Prefix = "base_model.model.";
    private const string LegacyWeightsFile = "adapter_model.bin";

    private static readonly string[] LoraSuffixes = [LoraTensors.SuffixA, LoraTensors.SuffixB, LoraTensors.EmbeddingSuffixA, LoraTensors.EmbeddingSuffixB, LoraTensors.MagnitudeSuffix];

    /// <summary>Writes an adapter: the tensors first, so that a folder with a configuration is whole. Same adapter, same bytes.</summary>
    /// <param name="folder">The folder, which is made.</param>
    /// <param name="adapter">The adapter, which stays the caller's.</param>
    /// <exception cref="PipelineException">PDSL3016: the adapter contradicts itself, or a value is not finite. PDSL3012: a file cannot be written.</exception>
    public static void Write(string folder, PeftAdapter adapter)
    {
        Checked(folder, DiagnosticIds.NotExportable, "cannot be written", "correct the adapter", () =>
        {
            adapter.Check();
            return true;
        });
        SafetensorsWriter.Write(Path.Combine(folder, WeightsFile), adapter.Tensors.Select(entry => KeyValuePair.Create(Prefix + entry.Name, entry.Tensor)));
        byte[] config = PeftConfigWriter.Write(adapter.Config);
        AtomicFile.Write(Path.Combine(folder, ConfigFile), stream => stream.Write(config));
    }

    /// <summary>Reads an adapter; one of the old type BONE becomes the same adapter of type MISS. The caller owns it.</summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="PipelineException">PDSL1015: a file is not there. PDSL3012: it cannot be read. PDSL3002: a file is broken, or the adapter contradicts itself or is of a kind that is not supported.</exception>
    public static PeftAdapter Read(string folder) => Checked(folder, DiagnosticIds.BrokenWeights, "is refused", "write or get it again", () =>
    {
        var (config, isBone, warnings) = PeftConfigReader.Read(Path.Combine(folder, ConfigFile));
        using var scope = NewDisposeScope();
        using var file = OpenWeights(folder);
        var adapter = Assemble(config, isBone, file) with { Warnings = warnings };
        adapter.Check();
        foreach (var (_, tensor) in adapter.Tensors)
        {
            tensor.MoveToOuterDisposeScope();
        }

        return adapter;
    });

    /// <summary>Opens an adapter without reading its tensors, which needs no tensor library; what the tensors must be for the configuration is not checked.</summary>
    /// <param name="folder">The folder.</param>
    /// <returns>The configuration, the file of the tensors, which is the caller's, and warnings.</returns>
    /// <exception cref="PipelineException">As <see cref="Read"/>.</exception>
    internal static (PeftConfig Config, SafetensorsFile Weights, IReadOnlyList<RecipeDiagnostic> Warnings) Open(string folder) => Checked(folder, DiagnosticIds.BrokenWeights, "is refused", "write or get it again", () =>
    {
        var (config, _, warnings) = PeftConfigReader.Read(Path.Combine(folder, ConfigFile));
        return (config, OpenWeights(folder), warnings);
    });

    private static SafetensorsFile OpenWeights(string folder)
    {
        string weights = Path.Combine(folder, WeightsFile);
        return File.Exists(weights) || !File.Exists(Path.Combine(folder, LegacyWeightsFile))
            ? SafetensorsFile.Open(weights)
            : throw new HeaderException($"it holds '{LegacyWeightsFile}', a pickle that may run any code, and no '{WeightsFile}'; save it as safetensors");
    }

    private static PeftAdapter Assemble(PeftConfig config, bool isBone, SafetensorsFile file)
    {
        string[] suffixes = config.Type == PeftType.Lora ? LoraSuffixes : [isBone ? MissTensors.BoneSuffix : MissTensors.Suffix];
        var parts = new SortedDictionary<string, Dictionary<string, Tensor>>(StringComparer.Ordinal);
        var saved = new SortedDictionary<string, Tensor>(StringComparer.Ordinal);
        foreach (string key in file.Names)
        {
            string name = key.StartsWith(Prefix, StringComparison.Ordinal) ? key[Prefix.Length..] : throw new HeaderException($"tensor '{key}' lacks the prefix '{Prefix}', without which PEFT leaves it out");
            // PEFT reads both spellings.
            string plain = name.EndsWith(LoraTensors.MagnitudeSuffix + ".weight", StringComparison.Ordinal) ? name[..^".weight".Length] : name;
            if (suffixes.FirstOrDefault(suffix => plain.EndsWith(suffix, StringComparison.Ordinal)) is { } suffix)
            {
                string module = plain[..^suffix.Length];
                if (!(parts.TryGetValue(module, out var of) ? of : parts[module] = []).TryAdd(suffix, file.Read(key)))
                {
                    throw new HeaderException($"module '{module}' has two magnitude vectors");
                }
            }
            else if (config.IsSaved(name))
            {
                saved.Add(name, file.Read(key));
            }
            else
            {
                throw new HeaderException(Foreign(key));
            }
        }

        var modules = new SortedDictionary<string, PeftTensors>(StringComparer.Ordinal);
        foreach (var (module, tensors) in parts)
        {
            modules.Add(module, config.Type == PeftType.Lora ? Lora(module, tensors) : new MissTensors(tensors.Values.Single()));
        }

        return new(config, modules, saved);
    }

    private static LoraTensors Lora(string module, Dictionary<string, Tensor> parts)
    {
        bool isEmbedding = parts.ContainsKey(LoraTensors.EmbeddingSuffixA) || parts.ContainsKey(LoraTensors.EmbeddingSuffixB);
        string[] needed = isEmbedding ? [LoraTensors.EmbeddingSuffixA, LoraTensors.EmbeddingSuffixB] : [LoraTensors.SuffixA, LoraTensors.SuffixB];
        if (needed.FirstOrDefault(suffix => !parts.ContainsKey(suffix)) is { } missing)
        {
            throw new HeaderException($"module '{module}' has no tensor '{missing[1..]}'");
        }

        var magnitude = parts.GetValueOrDefault(LoraTensors.MagnitudeSuffix);
        return parts.Count == (magnitude is null ? 2 : 3) ? new LoraTensors(parts[needed[0]], parts[needed[1]], magnitude, isEmbedding)
            : throw new HeaderException($"module '{module}' has factors of an embedding and of another module");
    }

    private static string Foreign(string key) => NamedKey().Match(key) is { Success: true } match
        ? $"tensor '{key}' has the adapter's name '{match.Groups["name"].Value}' in its key; PEFT's files leave it out"
        : $"tensor '{key}' belongs neither to an adapter of this type nor to one of 'modules_to_save'";

    private static T Checked<T>(string folder, string id, string verdict, string cure, Func<T> work)
    {
        try
        {
            return work();
        }
        catch (Exception failure) when (failure is HeaderException or RegexParseException or RegexMatchTimeoutException)
        {
            throw new PipelineException(id, $"adapter '{folder}' {verdict}: {failure.Message.TrimEnd('.')}; {cure}", folder, failure);
        }
    }

    [GeneratedRegex(@"\.(lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector|miss_block|bone_block)\.(?!weight$|bias$)(?<name>[^.]+)(\.weight)?$", RegexOptions.ExplicitCapture)]
    private static partial Regex NamedKey();
}
