using TorchSharp.Modules;

using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Tutor.Model;

/// <summary>The larger model, with an output layer of its own.</summary>
public sealed partial class ScholarLlama : Module<Tensor, Tensor>
{
    private readonly LlamaModel model;
    private readonly Linear lm_head;

    /// <summary>Makes the model.</summary>
    public ScholarLlama()
        : base(nameof(ScholarLlama))
    {
        model = new LlamaModel(LlamaConfig.Scholar4M);
        lm_head = Linear(LlamaConfig.Scholar4M.HiddenSize, LlamaConfig.Scholar4M.VocabularySize, hasBias: false);
        RegisterComponents();
    }

    /// <summary>The scores [batch, length, vocabulary] of the token after each of the ids [batch, length].</summary>
    public override Tensor forward(Tensor ids)
    {
        using var scope = NewDisposeScope();
        var scores = lm_head.call(model.call(ids));
        return scores.MoveToOuterDisposeScope();
    }
}
