namespace PipelineDsl.Runtime.Analysis;

/// <summary>How well an earlier head's output is read by one input of a later head.</summary>
/// <param name="Writer">The earlier head.</param>
/// <param name="Reader">The later head.</param>
/// <param name="Type">The input.</param>
/// <param name="Score">The composition score of the whole heads, 0 to 1: a weak signal, which may lie barely above that of unrelated heads.</param>
/// <param name="ZScore">The score's distance from the mean of all pairs of this type, in standard deviations.</param>
/// <param name="Components">The components kept, by falling singular value.</param>
/// <param name="TopShare">The largest squared component score as a share of the sum over all components.</param>
/// <param name="TopThreeShare">The three largest as a share: near 1, the channel has a low rank.</param>
public sealed record HeadComposition(
    HeadIndex Writer, HeadIndex Reader, CompositionType Type, double Score, double ZScore, IReadOnlyList<ComponentScore> Components, double TopShare, double TopThreeShare)
{
    /// <summary>The component that is read best; null if the writer writes nothing.</summary>
    public ComponentScore? Top => Components.MaxBy(component => component.Score);
}
