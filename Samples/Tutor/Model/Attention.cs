using TorchSharp.Modules;

using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Tutor.Model;

/// <summary>Causal self-attention whose query heads share key and value heads in groups.</summary>
public sealed class Attention : Module<Tensor, Tensor>
{
    private readonly LlamaConfig config;
    private readonly Rotary rotary;
    private readonly Linear q_proj;
    private readonly Linear k_proj;
    private readonly Linear v_proj;
    private readonly Linear o_proj;

    /// <summary>Makes the layer; the rotary embedding is shared and stays the caller's.</summary>
    public Attention(LlamaConfig config, Rotary rotary)
        : base(nameof(Attention))
    {
        this.config = config;
        this.rotary = rotary;
        q_proj = Linear(config.HiddenSize, config.Heads * config.HeadSize, hasBias: false);
        k_proj = Linear(config.HiddenSize, config.KeyValueHeads * config.HeadSize, hasBias: false);
        v_proj = Linear(config.HiddenSize, config.KeyValueHeads * config.HeadSize, hasBias: false);
        o_proj = Linear(config.Heads * config.HeadSize, config.HiddenSize, hasBias: false);
        RegisterComponents();
    }

    /// <summary>Lets each token of x [batch, length, hidden] see itself and those before.</summary>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var queries = rotary.Turn(InHeads(q_proj.call(x)));
        var keys = ForEveryQuery(rotary.Turn(InHeads(k_proj.call(x))));
        var values = ForEveryQuery(InHeads(v_proj.call(x)));
        var seen = functional.scaled_dot_product_attention(queries, keys, values, is_casual: true);
        return o_proj.call(seen.transpose(1, 2).flatten(2)).MoveToOuterDisposeScope();
    }

    private Tensor InHeads(Tensor features) => features.unflatten(2, -1, config.HeadSize).transpose(1, 2);

    private Tensor ForEveryQuery(Tensor heads) => heads.repeat_interleave(config.Heads / config.KeyValueHeads, dim: 1);
}
