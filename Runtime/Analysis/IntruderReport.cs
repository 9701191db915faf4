namespace PipelineDsl.Runtime.Analysis;

/// <summary>The intruder dimensions of a model's weights.</summary>
/// <param name="Layers">The findings by the weight's name, in the model's order.</param>
public sealed record IntruderReport(IReadOnlyList<(string Name, IntruderFindings Findings)> Layers)
{
    /// <summary>The number of intruders in all weights.</summary>
    public int Count => Layers.Sum(layer => layer.Findings.Count);

    /// <summary>The numbers by the reported thresholds and leading directions.</summary>
    public IReadOnlyList<(double Epsilon, int TopK, int Count)> Counts =>
        [.. IntruderFindings.ReportedTopK.SelectMany(topK => IntruderFindings.ReportedEpsilons.Select(epsilon => (epsilon, topK, CountAt(epsilon, topK))))];

    /// <summary>The number of intruders in all weights by another threshold and among another number of leading directions.</summary>
    public int CountAt(double epsilon, int topK) => Layers.Sum(layer => layer.Findings.CountAt(epsilon, topK));
}
