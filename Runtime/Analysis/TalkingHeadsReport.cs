namespace PipelineDsl.Runtime.Analysis;

/// <summary>The communication between the attention heads of a model, as <see cref="ChannelSearch"/> finds it.</summary>
/// <param name="Weights">Which weights were analysed.</param>
/// <param name="NormFolded">Whether the gains of the norms were folded into the readers.</param>
/// <param name="Baseline">1 / √D: about the score of unrelated directions.</param>
/// <param name="Edges">Every pair of heads and type, by type, earlier head and later head.</param>
/// <param name="Channels">The components that stand out, by type and falling score.</param>
/// <remarks>Scores are those of the projections alone: without biases, and with rotary embeddings at equal positions.</remarks>
public sealed record TalkingHeadsReport(string Weights, bool NormFolded, double Baseline, IReadOnlyList<HeadComposition> Edges, IReadOnlyList<HeadChannel> Channels)
{
    /// <summary>The earlier heads that a later one reads best, by their best component: the score of whole heads hides channels.</summary>
    /// <param name="reader">The later head.</param>
    /// <param name="type">Its input.</param>
    /// <param name="count">How many.</param>
    public IReadOnlyList<HeadComposition> TopWriters(HeadIndex reader, CompositionType type, int count) =>
        [.. Edges.Where(edge => edge.Reader == reader && edge.Type == type).OrderByDescending(edge => edge.Top?.Score ?? 0).Take(count)];

    /// <summary>The score of one pair of heads.</summary>
    /// <exception cref="KeyNotFoundException">The pair was not analysed.</exception>
    public HeadComposition Edge(HeadIndex writer, HeadIndex reader, CompositionType type) =>
        Edges.FirstOrDefault(edge => edge.Writer == writer && edge.Reader == reader && edge.Type == type)
        ?? throw new KeyNotFoundException($"{type} composition of {writer} and {reader} was not analysed");
}
