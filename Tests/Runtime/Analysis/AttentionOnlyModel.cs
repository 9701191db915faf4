using PipelineDsl.Runtime.Analysis;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Analysis;

/// <summary>A causal model of attention layers alone, without norms and biases.</summary>
internal sealed class AttentionOnlyModel(IReadOnlyList<AttentionHead> heads)
{
    /// <summary>The residual stream after the last layer, and the attention of each head.</summary>
    public (Tensor Residual, IReadOnlyDictionary<HeadIndex, Tensor> Attention) Run(Tensor x)
    {
        var attention = new Dictionary<HeadIndex, Tensor>();
        var mask = ones(x.shape[0], x.shape[0], dtype: @bool).triu(1);
        foreach (var layer in heads.GroupBy(head => head.Index.Layer).OrderBy(layer => layer.Key))
        {
            var before = x;
            foreach (var head in layer)
            {
                var logits = before.mm(head.Query).mm(before.mm(head.Key).mT) / Math.Sqrt(head.Query.shape[1]);
                attention[head.Index] = logits.masked_fill(mask, double.NegativeInfinity).softmax(-1);
                x = x + attention[head.Index].mm(before.mm(head.Value)).mm(head.Output);
            }
        }

        return (x, attention);
    }

    /// <summary>The same model with one head replaced.</summary>
    public AttentionOnlyModel With(AttentionHead changed) => new([.. heads.Select(head => head.Index == changed.Index ? changed : head)]);
}
