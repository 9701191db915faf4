using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Analysis;

/// <summary>What heads do on prompts: the roles that the causal check of a channel needs (arXiv:2406.09519; the roles of indirect object identification, arXiv:2211.00593).</summary>
public static class HeadRoles
{
    /// <summary>The attention that each component of an earlier head takes from a mover head: attention without the component minus attention with it, so an inhibiting component is positive.</summary>
    /// <param name="writer">The earlier head.</param>
    /// <param name="moverAttention">Runs the model on the prompt with the given head in place of the writer and gives the mover's attention probabilities [T, T].</param>
    /// <param name="destination">The position that attends.</param>
    /// <param name="source">The marked position that is attended to.</param>
    /// <returns>[d], by falling singular value of the writer's OV.</returns>
    public static double[] InhibitionScores(AttentionHead writer, Func<AttentionHead, Tensor> moverAttention, long destination, long source)
    {
        double before = Attention(writer.Fold?.Stored ?? writer);
        return [.. Enumerable.Range(0, (int)writer.Output.shape[0]).Select(component =>
        {
            using var scope = NewDisposeScope();
            return Attention(HeadEdit.ScaleWriter(writer, component, 0).Edited) - before;
        })];

        double Attention(AttentionHead head)
        {
            using var scope = NewDisposeScope();
            return moverAttention(head)[destination, source].to(float64).item<double>();
        }
    }

    /// <summary>How well a head moves what it attends to: the share of tokens whose own logit is among the largest of what its OV makes of their embedding.</summary>
    /// <param name="head">The head.</param>
    /// <param name="embedding">[tokens, D]: the residuals of the tokens.</param>
    /// <param name="unembedding">[D, tokens], the logits of the same tokens.</param>
    /// <param name="among">Among how many of the largest.</param>
    public static double CopyingScore(AttentionHead head, Tensor embedding, Tensor unembedding, int among = 5)
    {
        using var scope = NewDisposeScope();
        var logits = embedding.to(float64).mm(head.Value.to(float64)).mm(head.Output.to(float64).mm(unembedding.to(float64)));
        var larger = (logits > logits.diagonal().unsqueeze(1)).sum(dim: 1L);
        return (larger < among).to(float64).mean().item<double>();
    }

    /// <summary>The mean attention from the tokens that were there before to their earlier occurrences (a duplicate-token head), or to what came after these (an induction head).</summary>
    /// <param name="attention">[T, T] probabilities.</param>
    /// <param name="tokens">T token ids.</param>
    /// <param name="offset">0 for the occurrence itself, 1 for the token after it.</param>
    /// <returns>0 to 1; 0 when no token repeats.</returns>
    public static double RepetitionScore(Tensor attention, IReadOnlyList<int> tokens, int offset)
    {
        using var scope = NewDisposeScope();
        var probabilities = attention.to(float64).cpu();
        double sum = 0;
        int repeated = 0;
        for (int t = 0; t < tokens.Count; t++)
        {
            long[] sources = [.. Enumerable.Range(0, t).Where(earlier => tokens[earlier] == tokens[t] && earlier + offset < t).Select(earlier => (long)(earlier + offset))];
            if (sources.Length > 0)
            {
                sum += sources.Sum(source => probabilities[t, source].item<double>());
                repeated++;
            }
        }

        return repeated > 0 ? sum / repeated : 0;
    }
}
