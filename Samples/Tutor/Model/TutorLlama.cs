using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Tutor.Model;

/// <summary>The tiny model that becomes a tutor: its output layer shares the embedding.</summary>
public sealed partial class TutorLlama : Module<Tensor, Tensor>
{
    private readonly LlamaModel model;

    /// <summary>Makes the model.</summary>
    public TutorLlama()
        : base(nameof(TutorLlama))
    {
        model = new LlamaModel(LlamaConfig.Stories260K);
        RegisterComponents();
    }

    /// <summary>The scores [batch, length, vocabulary] of the token after each of the ids [batch, length].</summary>
    public override Tensor forward(Tensor ids)
    {
        using var scope = NewDisposeScope();
        var scores = functional.linear(model.call(ids), model.TokenWeight);
        return scores.MoveToOuterDisposeScope();
    }
}
