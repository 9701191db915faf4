using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Runtime.Report;

/// <summary>What was found in the weights, in words and rows.</summary>
internal static class AnalysisText
{
    /// <summary>Columns of <see cref="Intruders"/>.</summary>
    public static readonly string[] IntruderColumns = ["Layer", "Intruders", "Their energy", "σ1 of the change", "Least cosine"];

    /// <summary>Columns of <see cref="Channels"/>.</summary>
    public static readonly string[] ChannelColumns = ["Writes", "Reads", "Through", "Components", "Score", "z"];

    private const int Rows = 20;

    /// <summary>What the figures say.</summary>
    public static IEnumerable<string> Sentences(Manifest manifest)
    {
        if (manifest.Analysis?.IntruderDimensions is { } found)
        {
            int tested = found.Layers.Sum(layer => layer.MaxCosines.Count);
            yield return $"{Figures.Count(found.Count, "intruder dimension")} among {Figures.Count(tested, "leading direction")} of {Figures.Count(found.Layers.Count, "layer")}, compared with {found.Base}: "
                + $"no direction before tuning has a cosine of {Figures.Number(found.Threshold)} or more with them. Many of them beside a large change predict forgetting; nearly every random direction is one, so read the count together with the energy.";
            if (found.Mitigation is { } mitigation)
            {
                yield return $"In {Figures.Count(mitigation.Layers, "layer")}, {Figures.Percent(mitigation.Remain)} of their singular values remain." + (mitigation is { Without: { } without, Control: { } control } && manifest.Quality is { } quality
                    ? $" {quality.Metric} {Figures.Metric(quality.After)} with it, {Figures.Metric(without)} without, {Figures.Metric(control)} when every change is shrunk as a whole by as much instead; before tuning {Figures.Metric(quality.Before)}."
                    : "");
            }
        }

        if (manifest.Analysis?.TalkingHeads is { } heads)
        {
            yield return $"{Figures.Count(heads.Channels.Count, "channel")} between attention heads {(heads.Channels.Count == 1 ? "stands" : "stand")} out among {Figures.Whole(heads.Pairs)} scores of pairs; unrelated directions score about {Figures.Number(heads.Baseline)}."
                + (heads.NormFolded ? " The gains of the norms are folded in." : " The gains of the norms are not folded in.") + " Rotary embeddings are left out: scores are those of equal positions.";
            foreach (var edit in heads.Edits)
            {
                yield return $"Component {Figures.Whole(edit.Component)} of head {edit.Head} was {(edit.Factor == 0 ? "switched off" : $"multiplied by {Figures.Number(edit.Factor)}")}: the output projection moved by {Figures.Number(edit.Change)}.";
            }
        }
    }

    /// <summary>The layers with most intruders first.</summary>
    public static IEnumerable<IReadOnlyList<string>> Intruders(AnalysisRecord analysis) => (analysis.IntruderDimensions?.Layers ?? [])
        .OrderByDescending(layer => layer.Count).ThenByDescending(layer => layer.EnergyShare).Take(Rows)
        .Select(layer => (IReadOnlyList<string>)[layer.Path, $"{Figures.Whole(layer.Count)} of {Figures.Whole(layer.MaxCosines.Count)}", Figures.Percent(layer.EnergyShare), Figures.Percent(layer.RelativeUpdate), layer.MaxCosines.Count == 0 ? Figures.Missing : Figures.Number(layer.MaxCosines.Min())]);

    /// <summary>The strongest channels of each kind.</summary>
    public static IEnumerable<IReadOnlyList<string>> Channels(AnalysisRecord analysis) => (analysis.TalkingHeads?.Channels ?? [])
        .OrderByDescending(channel => channel.ZScore).Take(Rows)
        .Select(channel => (IReadOnlyList<string>)[channel.Writer, channel.Reader, channel.Type, string.Join(", ", channel.Components.Select(component => Figures.Whole(component))), Figures.Number(channel.Score), Figures.Number(channel.ZScore)]);
}
