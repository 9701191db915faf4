using TorchSharp.Modules;

using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Tutor.Model;

/// <summary>Everything of a Llama-architecture model but its output layer.</summary>
public sealed class LlamaModel : Module<Tensor, Tensor>
{
    private readonly Rotary rotary;
    private readonly Embedding embed_tokens;
    private readonly ModuleList<Block> layers;
    private readonly RmsNorm norm;

    /// <summary>Makes the model.</summary>
    public LlamaModel(LlamaConfig config)
        : base(nameof(LlamaModel))
    {
        rotary = new Rotary(config);
        embed_tokens = Embedding(config.VocabularySize, config.HiddenSize);
        layers = ModuleList(Enumerable.Range(0, config.Layers).Select(_ => new Block(config, rotary)).ToArray());
        norm = new RmsNorm(config.HiddenSize, config.NormEpsilon);
        RegisterComponents();
    }

    /// <summary>The embedding's weight [vocabulary, hidden], which a tied output layer shares.</summary>
    public Tensor TokenWeight => embed_tokens.weight!;

    /// <summary>The features [batch, length, hidden] of token ids [batch, length].</summary>
    public override Tensor forward(Tensor ids)
    {
        using var scope = NewDisposeScope();
        var features = embed_tokens.call(ids);
        foreach (var layer in layers)
        {
            features = layer.call(features);
        }

        return norm.call(features).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            rotary.Dispose();
        }

        base.Dispose(disposing);
    }
}
