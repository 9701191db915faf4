using System.Globalization;

namespace PipelineDsl.Runtime.Export;

/// <summary>A tensor of a llama model under llama.cpp's name.</summary>
/// <param name="Name">The name in a GGUF file.</param>
/// <param name="Block">Its block, or null for those outside.</param>
/// <param name="RotaryHeads">The heads whose rows are turned by position, which llama.cpp wants as neighbouring pairs, or null.</param>
internal sealed record LlamaTensor(string Name, int? Block, uint? RotaryHeads)
{
    private static readonly Dictionary<string, string> Outside = new()
    {
        ["model.embed_tokens.weight"] = "token_embd.weight",
        ["model.norm.weight"] = "output_norm.weight",
        ["lm_head.weight"] = "output.weight",
    };

    private static readonly Dictionary<string, string> Inside = new()
    {
        ["input_layernorm"] = "attn_norm",
        ["self_attn.q_proj"] = "attn_q",
        ["self_attn.k_proj"] = "attn_k",
        ["self_attn.v_proj"] = "attn_v",
        ["self_attn.o_proj"] = "attn_output",
        ["post_attention_layernorm"] = "ffn_norm",
        ["mlp.gate_proj"] = "ffn_gate",
        ["mlp.up_proj"] = "ffn_up",
        ["mlp.down_proj"] = "ffn_down",
    };

    /// <summary>The tensor that a model calls by a name, or null when llama.cpp has none.</summary>
    public static LlamaTensor? Find(string name, LlamaSettings settings)
    {
        if (Outside.TryGetValue(name, out string? outside))
        {
            return new(outside, null, null);
        }

        string[] parts = name.Split('.');
        if (parts is not ["model", "layers", var index, _, .., "weight" or "bias"] || !int.TryParse(index, NumberStyles.None, CultureInfo.InvariantCulture, out int block)
            || block >= settings.Layers || !Inside.TryGetValue(string.Join('.', parts[3..^1]), out string? inside))
        {
            return null;
        }

        uint? heads = inside switch { "attn_q" => settings.Heads, "attn_k" => settings.KeyValueHeads, _ => null };
        return new(string.Create(CultureInfo.InvariantCulture, $"blk.{block}.{inside}.{parts[^1]}"), block, heads);
    }

    /// <summary>Which of the model's rows each row of the file is: a head's halves are laid into each other.</summary>
    /// <param name="rows">Rows.</param>
    public int[] RowOrder(int rows)
    {
        int[] order = [.. Enumerable.Range(0, rows)];
        if (RotaryHeads is not { } heads)
        {
            return order;
        }

        int size = rows / (int)heads;
        return Array.ConvertAll(order, row => row / size * size + (row % size % 2 * (size / 2)) + (row % size / 2));
    }
}
