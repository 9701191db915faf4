using System.Text.Json;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Formats.Gguf;

namespace PipelineDsl.Runtime.Export;

/// <summary>The sizes of a model of the llama architecture, as its <c>config.json</c> has them.</summary>
/// <param name="Hidden">The width of the residual stream.</param>
/// <param name="Intermediate">The width inside the feed-forward part.</param>
/// <param name="Layers">Blocks.</param>
/// <param name="Heads">Attention heads.</param>
/// <param name="KeyValueHeads">Heads of keys and values.</param>
/// <param name="HeadSize">Values a head.</param>
/// <param name="Context">Positions.</param>
/// <param name="Vocabulary">Tokens.</param>
/// <param name="NormEpsilon">What keeps norms from dividing by zero.</param>
/// <param name="RopeBase">The base of rotary frequencies.</param>
internal sealed record LlamaSettings(
    uint Hidden,
    uint Intermediate,
    uint Layers,
    uint Heads,
    uint KeyValueHeads,
    uint HeadSize,
    uint Context,
    uint Vocabulary,
    float NormEpsilon,
    float RopeBase)
{
    private const string Architecture = "llama";

    /// <summary>Reads a configuration.</summary>
    /// <exception cref="PipelineException">PDSL3016: it is damaged, or of a model that is not written. PDSL1015, PDSL3012: as for any file.</exception>
    public static LlamaSettings Read(string path) => StrictJson.Read(path, DiagnosticIds.NotExportable, "a configuration of a llama model", root => Read(path, root));

    /// <summary>The values of a GGUF header that say the same.</summary>
    public IEnumerable<KeyValuePair<string, GgufValue>> Values()
    {
        yield return new("llama.vocab_size", Vocabulary);
        yield return new("llama.context_length", Context);
        yield return new("llama.embedding_length", Hidden);
        yield return new("llama.block_count", Layers);
        yield return new("llama.feed_forward_length", Intermediate);
        yield return new("llama.attention.head_count", Heads);
        yield return new("llama.attention.head_count_kv", KeyValueHeads);
        yield return new("llama.attention.layer_norm_rms_epsilon", NormEpsilon);
        yield return new("llama.rope.freq_base", RopeBase);
        yield return new("llama.rope.dimension_count", HeadSize);
        if (Heads * HeadSize != Hidden)
        {
            yield return new("llama.attention.key_length", HeadSize);
            yield return new("llama.attention.value_length", HeadSize);
        }
    }

    private static LlamaSettings Read(string path, JsonElement root)
    {
        Require(path, "model_type", root.Text("model_type"), Architecture);
        Require(path, "hidden_act", root.Find("hidden_act")?.Text() ?? "silu", "silu");
        if (root.Find("rope_scaling") is { } scaling)
        {
            throw Refusal(path, $"'rope_scaling' is {scaling.GetRawText()} and only plain rotary positions are written");
        }

        uint heads = root.Get("num_attention_heads").GetUInt32();
        uint hidden = root.Get("hidden_size").GetUInt32();
        uint headSize = root.Find("head_dim")?.GetUInt32() ?? (heads == 0 ? 0 : hidden / heads);
        uint keyValueHeads = root.Find("num_key_value_heads")?.GetUInt32() ?? heads;
        if (heads == 0 || keyValueHeads == 0 || headSize == 0 || headSize % 2 != 0)
        {
            throw Refusal(path, $"{heads} heads ({keyValueHeads} of keys and values) of {headSize} values are impossible");
        }

        return new(
            hidden,
            root.Get("intermediate_size").GetUInt32(),
            root.Get("num_hidden_layers").GetUInt32(),
            heads,
            keyValueHeads,
            headSize,
            root.Get("max_position_embeddings").GetUInt32(),
            root.Get("vocab_size").GetUInt32(),
            root.Get("rms_norm_eps").GetSingle(),
            root.Find("rope_theta")?.GetSingle() ?? 10_000);
    }

    private static void Require(string path, string key, string found, string wanted)
    {
        if (found != wanted)
        {
            throw Refusal(path, $"'{key}' is '{found}' and only '{wanted}' is written");
        }
    }

    private static PipelineException Refusal(string path, string reason) =>
        new(DiagnosticIds.NotExportable, $"export 'gguf' cannot hold the model of '{path}': {reason}; drop the format", path);
}
