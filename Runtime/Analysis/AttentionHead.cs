using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Analysis;

/// <summary>
/// The weights of one attention head for row vectors: q = x W_Q, the head adds softmax(q kᵀ / √d) x W_V W_O to the residual stream (A Mathematical Framework for Transformer Circuits, 2021).
/// </summary>
/// <param name="Index">Layer and head.</param>
/// <param name="Query">W_Q [D, d], floating point.</param>
/// <param name="Key">W_K [D, d]. Rotary embeddings are left out: the analysis is that of equal positions.</param>
/// <param name="Value">W_V [D, d].</param>
/// <param name="Output">W_O [d, D].</param>
/// <remarks>Biases are left out. The tensors belong to the caller's dispose scope.</remarks>
public sealed record AttentionHead(HeadIndex Index, Tensor Query, Tensor Key, Tensor Value, Tensor Output)
{
    /// <summary>What <see cref="FoldNorm"/> folded in; null for weights as they are stored.</summary>
    public NormFold? Fold { get; private init; }

    /// <summary>Splits the projections of a layer into its heads; with grouped queries, head h has the key and value of group h / (heads / groups).</summary>
    /// <param name="layer">The layer's number.</param>
    /// <param name="query">[heads · d, D], as a linear layer stores it.</param>
    /// <param name="key">[groups · d, D].</param>
    /// <param name="value">[groups · d, D].</param>
    /// <param name="output">[D, heads · d].</param>
    /// <param name="heads">The number of heads.</param>
    /// <returns>Views of the four weights.</returns>
    /// <exception cref="ArgumentException">The shapes are not those of so many heads.</exception>
    public static IReadOnlyList<AttentionHead> Split(int layer, Tensor query, Tensor key, Tensor value, Tensor output, int heads)
    {
        long d = heads > 0 ? query.shape[0] / heads : 0;
        long groups = d > 0 ? key.shape[0] / d : 0;
        bool fits = groups > 0 && d * heads == query.shape[0] && d * groups == key.shape[0] && heads % groups == 0
            && key.shape[1] == query.shape[1] && value.shape.SequenceEqual(key.shape) && output.shape.SequenceEqual([query.shape[1], query.shape[0]]);
        if (!fits)
        {
            string shapes = string.Join(", ", new[] { query, key, value, output }.Select(weight => $"[{string.Join(", ", weight.shape)}]"));
            throw new ArgumentException($"query, key, value and output of {shapes} are not the projections of {heads} heads", nameof(heads));
        }

        return [.. Enumerable.Range(0, heads).Select(head =>
        {
            long group = head / (heads / groups);
            return new AttentionHead(
                new(layer, head), query.narrow(0, head * d, d).mT, key.narrow(0, group * d, d).mT, value.narrow(0, group * d, d).mT, output.narrow(1, head * d, d).mT);
        })];
    }

    /// <summary>Splits a layer whose projections are stored [in, out], query, key and value side by side (Conv1D of GPT-2).</summary>
    /// <param name="layer">The layer's number.</param>
    /// <param name="queryKeyValue">[D, 3 · heads · d].</param>
    /// <param name="output">[heads · d, D].</param>
    /// <param name="heads">The number of heads.</param>
    /// <returns>Views of the two weights.</returns>
    /// <exception cref="ArgumentException">The shapes are not those of so many heads.</exception>
    public static IReadOnlyList<AttentionHead> SplitConv1D(int layer, Tensor queryKeyValue, Tensor output, int heads)
    {
        long width = output.shape[0];
        if (queryKeyValue.shape[1] != 3 * width)
        {
            throw new ArgumentException($"{queryKeyValue.shape[1]} columns are not query, key and value of {width} each", nameof(queryKeyValue));
        }

        Tensor Part(long index) => queryKeyValue.narrow(1, index * width, width).mT;
        return Split(layer, Part(0), Part(1), Part(2), output.mT, heads);
    }

    /// <summary>The head as it reads the normalised residual stream: the norm's gain goes into W_Q, W_K and W_V, without which a few channels of large gain rule the scores.</summary>
    /// <param name="gain">[D], the weight of the layer's norm.</param>
    /// <param name="centred">Whether the model's norms subtract the mean (LayerNorm, not RMSNorm): what lies along the ones is then neither read nor kept of what is written.</param>
    /// <returns>Float64 weights in the caller's dispose scope.</returns>
    /// <exception cref="InvalidOperationException">A norm is folded in already.</exception>
    public AttentionHead FoldNorm(Tensor gain, bool centred)
    {
        if (Fold is not null)
        {
            throw new InvalidOperationException($"head {Index} has its norm folded in already");
        }

        using var scope = NewDisposeScope();
        var diagonal = gain.detach().to(float64).unsqueeze(1);
        Tensor Read(Tensor weight) => Centre(diagonal * weight.detach().to(float64), 0);
        Tensor Centre(Tensor weight, long axis) => (centred ? weight - weight.mean([axis], keepdim: true) : weight).MoveToOuterDisposeScope();
        return new(Index, Read(Query), Read(Key), Read(Value), Centre(Output.detach().to(float64, copy: true), 1)) { Fold = new(this, gain) };
    }

    /// <summary>W_V W_O: what the head writes of what it attends to.</summary>
    /// <returns>In the caller's dispose scope.</returns>
    public Circuit OvCircuit() => Circuit.Of(Value, Output.mT);

    /// <summary>W_Q W_Kᵀ: which positions the head attends to from where.</summary>
    /// <returns>In the caller's dispose scope.</returns>
    public Circuit QkCircuit() => Circuit.Of(Query, Key);
}
