using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Analysis;

/// <summary>
/// Which attention heads write into subspaces that later heads read, down to single singular components, from the weights alone (Talking Heads, arXiv:2406.09519; composition scores: A Mathematical
/// Framework for Transformer Circuits, 2021).
/// </summary>
/// <param name="settings">What is kept and what stands out.</param>
public sealed class ChannelSearch(TalkingHeads settings)
{
    /// <summary>The inputs of the later heads that are looked at.</summary>
    public IReadOnlyList<CompositionType> Types { get; init; } = Enum.GetValues<CompositionType>();

    /// <summary>The pairs of an earlier and a later layer; null for all.</summary>
    public IReadOnlyList<(int Earlier, int Later)>? LayerPairs { get; init; }

    /// <summary>Scores all pairs of heads.</summary>
    /// <param name="heads">The heads of all layers, in any order; all with their norms folded in, which is usual, or none.</param>
    /// <param name="weights">Which weights these are, for the reader of the report: adapters merged in change the components.</param>
    /// <exception cref="ArgumentException">The norms are folded in only in part, or no pair of heads is left.</exception>
    /// <exception cref="InvalidOperationException">A setting is out of range, or a weight holds NaN or infinity.</exception>
    public TalkingHeadsReport Analyze(IReadOnlyList<AttentionHead> heads, string weights)
    {
        if (Types.Count == 0 || settings.Components < 0 || settings.Top < 0 || settings.ClusterTolerance is not (>= 0 and < 1))
        {
            throw new InvalidOperationException("at least one type is needed, no negative number of components or channels, and a cluster tolerance from 0 to below 1");
        }

        if (heads.Select(head => head.Fold is null).Distinct().Count() > 1)
        {
            throw new ArgumentException("the norm is folded into some heads and not into others: their scores cannot be compared", nameof(heads));
        }

        using var scope = NewDisposeScope();
        var circuits = heads.Select(head => (head.Index, Ov: head.OvCircuit(), Qk: head.QkCircuit())).OrderBy(head => (head.Index.Layer, head.Index.Head)).ToList();
        var pairs = circuits.SelectMany(writer => circuits.Where(reader => IsAnalysed(writer.Index.Layer, reader.Index.Layer)).Select(reader => (writer, reader))).ToList();
        if (pairs.Count == 0)
        {
            throw new ArgumentException("no pair of an earlier and a later head is left to compare", nameof(heads));
        }

        var edges = new List<HeadComposition>();
        var channels = new List<HeadChannel>();
        foreach (var type in Types.Distinct())
        {
            var scored = pairs.ConvertAll(pair => (pair.writer.Index, pair.writer.Ov, Reader: pair.reader.Index, Scores: pair.writer.Ov.ComponentScores(Input(pair.reader.Ov, pair.reader.Qk, type))));
            double[] wholes = [.. scored.Select(pair => pair.Ov.CompositionScore(pair.Scores))];
            var acrossPairs = Distribution.Of(wholes);
            var acrossComponents = Distribution.Of([.. scored.SelectMany(pair => pair.Scores)]);
            var candidates = new List<HeadChannel>();
            foreach (var ((writer, ov, reader, scores), whole) in scored.Zip(wholes))
            {
                edges.Add(Edge(writer, reader, type, ov, scores, (whole, acrossPairs.ZScore(whole)), acrossComponents));
                candidates.AddRange(ov.Clusters(settings.ClusterTolerance).Select(cluster =>
                {
                    double score = Math.Sqrt(cluster.Average(i => scores[i] * scores[i]));
                    return new HeadChannel(writer, reader, type, cluster, score, acrossComponents.ZScore(score));
                }));
            }

            var ordered = candidates.OrderByDescending(channel => channel.Score);
            channels.AddRange(settings.Top > 0 ? ordered.Take(settings.Top) : ordered.TakeWhile(channel => channel.ZScore >= settings.ZThreshold));
        }

        return new TalkingHeadsReport(weights, heads[0].Fold is not null, 1 / Math.Sqrt(heads[0].Query.shape[0]), edges, channels);
    }

    private static Circuit Input(Circuit ov, Circuit qk, CompositionType type) => type switch
    {
        CompositionType.Query => qk,
        CompositionType.Key => qk.Transposed,
        _ => ov,
    };

    private bool IsAnalysed(int earlier, int later) => earlier < later && (LayerPairs?.Contains((earlier, later)) ?? true);

    private HeadComposition Edge(
        HeadIndex writer, HeadIndex reader, CompositionType type, Circuit ov, double[] scores, (double Score, double ZScore) whole, Distribution acrossComponents)
    {
        var kept = scores.Select((score, i) => new ComponentScore(i, ov.Values[i], score, acrossComponents.ZScore(score)))
            .OrderByDescending(component => component.Score).Take(settings.Components > 0 ? settings.Components : scores.Length).OrderBy(component => component.Component);
        double[] squares = [.. scores.Select(score => score * score).OrderDescending()];
        double sum = squares.Sum();
        double Share(int count) => sum > 0 ? squares.Take(count).Sum() / sum : 0;
        return new(writer, reader, type, whole.Score, whole.ZScore, [.. kept], Share(1), Share(3));
    }

    /// <summary>Mean and standard deviation of what is seen over a model.</summary>
    private readonly record struct Distribution(double Mean, double Deviation)
    {
        public static Distribution Of(double[] values)
        {
            double mean = values.Average();
            return new(mean, Math.Sqrt(values.Average(value => (value - mean) * (value - mean))));
        }

        public double ZScore(double value) => Deviation > 0 ? (value - Mean) / Deviation : 0;
    }
}
