using PipelineDsl;
using TorchSharp.Modules;

using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Stories.Model;

/// <summary>A language model of the Llama architecture; member names are those of its checkpoint.</summary>
[Recipe("balanced", Weights = "weights/model.safetensors")]
[Calibrate("data/train.txt", Samples = 128, SequenceLength = 256)]
[Evaluate("data/test.txt", Metric = Metric.Perplexity, MaxRegression = 0.25)]
public sealed partial class StoryLlama : Module<Tensor, Tensor>
{
    private readonly LlamaModel model;
    private readonly Linear? lm_head;

    /// <summary>Makes the sample's own model, stories260K.</summary>
    public StoryLlama()
        : this(LlamaConfig.Stories260K)
    {
    }

    /// <summary>Makes a model of other sizes.</summary>
    public StoryLlama(LlamaConfig config)
        : base(nameof(StoryLlama))
    {
        ContextLength = config.ContextLength;
        model = new LlamaModel(config);
        lm_head = config.TiedEmbeddings ? null : Linear(config.HiddenSize, config.VocabularySize, hasBias: false);
        RegisterComponents();
    }

    /// <summary>The most tokens the model can see.</summary>
    public int ContextLength { get; }

    /// <summary>The scores [batch, length, vocabulary] of the token after each of the ids [batch, length].</summary>
    public override Tensor forward(Tensor ids)
    {
        using var scope = NewDisposeScope();
        var features = model.call(ids);
        var scores = lm_head is null ? functional.linear(features, model.TokenWeight) : lm_head.call(features);
        return scores.MoveToOuterDisposeScope();
    }
}
