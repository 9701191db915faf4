namespace PipelineDsl.Runtime.Report;

/// <summary>What a run knows beside the manifest: times and caching, which differ from run to run and so stay out of it.</summary>
/// <param name="Seconds">Wall time by phase, in order: <c>plan</c>, <c>statistics</c>, <c>solve</c>, <c>train</c>, <c>order</c>, <c>write</c>, <c>evaluate</c>.</param>
/// <param name="LayerSeconds">Solving time of each layer that was computed, by path.</param>
/// <param name="CachedLayers">Paths of the layers that came from the cache.</param>
public sealed record RunFacts(
    IReadOnlyList<(string Phase, double Seconds)> Seconds,
    IReadOnlyDictionary<string, double> LayerSeconds,
    IReadOnlySet<string> CachedLayers);
