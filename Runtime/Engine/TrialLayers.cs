namespace PipelineDsl.Runtime.Engine;

/// <summary>Layers that are tried out together; solved only when more than their names is needed.</summary>
/// <param name="names">Path and content key of each.</param>
/// <param name="solve">Solves them.</param>
internal sealed class TrialLayers(IReadOnlyList<(string Path, string Key)> names, Func<SolvedLayers> solve) : IDisposable
{
    private SolvedLayers? solved;

    /// <summary>Path and content key of each layer.</summary>
    public IReadOnlyList<(string Path, string Key)> Names => names;

    /// <summary>The solved layers, in the order of their names.</summary>
    public IReadOnlyList<SolvedUnit> Layers
    {
        get
        {
            solved ??= solve();
            return [.. names.Select(name => solved.Layers[name.Path])];
        }
    }

    /// <inheritdoc/>
    public void Dispose() => solved?.Dispose();
}
