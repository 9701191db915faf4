using static TorchSharp.torch;

namespace Tutor.Model;

/// <summary>Attention and feed-forward, each added to what came in.</summary>
public sealed class Block : nn.Module<Tensor, Tensor>
{
    private readonly RmsNorm input_layernorm;
    private readonly Attention self_attn;
    private readonly RmsNorm post_attention_layernorm;
    private readonly FeedForward mlp;

    /// <summary>Makes the block; the rotary embedding is shared and stays the caller's.</summary>
    public Block(LlamaConfig config, Rotary rotary)
        : base(nameof(Block))
    {
        input_layernorm = new RmsNorm(config.HiddenSize, config.NormEpsilon);
        self_attn = new Attention(config, rotary);
        post_attention_layernorm = new RmsNorm(config.HiddenSize, config.NormEpsilon);
        mlp = new FeedForward(config);
        RegisterComponents();
    }

    /// <summary>Transforms x [batch, length, hidden].</summary>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var attended = x + self_attn.call(input_layernorm.call(x));
        return (attended + mlp.call(post_attention_layernorm.call(attended))).MoveToOuterDisposeScope();
    }
}
