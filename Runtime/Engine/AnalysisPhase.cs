using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Adapters;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Looks for what a recipe asks about in the weights as the other phases leave them, and changes them where it asks for that.</summary>
internal sealed class AnalysisPhase(IModelPipeline pipeline, PreparedRun run, ContentStore store, RunOptions options, IRunObserver observer)
{
    /// <summary>Looks and changes; null when the recipe does not ask.</summary>
    /// <param name="solved">The compressed and trained layers; what is changed is replaced.</param>
    /// <param name="trained">What was trained, or null; the adapter of a changed layer is replaced by one that holds the change too.</param>
    /// <param name="cancellation">Stops between layers.</param>
    /// <exception cref="PipelineException">PDSL3003: weights do not fit the model. PDSL1007: heads that the weights do not have. PDSL3007: a weight is not finite.</exception>
    public AnalysisFindings? Analyze(SolvedLayers solved, TrainedModel? trained, CancellationToken cancellation)
    {
        if (run.Recipe.Analyze.Count == 0)
        {
            return null;
        }

        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var weights = new AnalyzedWeights(run, solved, trained);
        var record = new AnalysisRecord();
        var scores = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var analysis in run.Recipe.Analyze)
        {
            switch (analysis.Analysis)
            {
                case IntruderDimensions settings:
                    observer.Progress($"{run.Recipe.Name}: comparing directions with those before tuning");
                    record = record with { IntruderDimensions = new IntruderPhase(settings, analysis, pipeline, run, store, options, observer).Find(weights, cancellation) };
                    break;
                case TalkingHeads settings:
                    observer.Progress($"{run.Recipe.Name}: scoring pairs of attention heads");
                    (var channels, scores[ChannelPhase.File]) = new ChannelPhase(settings, analysis, run, store).Find(weights, cancellation);
                    record = record with { TalkingHeads = channels };
                    break;
                default:
                    throw new NotSupportedException($"nothing carries out '{analysis.Analysis}'");
            }
        }

        return new(record, scores);
    }
}

/// <summary>What was found, and tables that are too long for the manifest.</summary>
/// <param name="Record">The findings.</param>
/// <param name="Tables">Texts by file name.</param>
internal sealed record AnalysisFindings(AnalysisRecord Record, SortedDictionary<string, string> Tables)
{
    /// <summary>Writes the tables into the artifact's folder.</summary>
    /// <returns>The record with its files.</returns>
    public AnalysisRecord Write(string artifact)
    {
        string folder = Path.Combine(artifact, ArtifactFiles.Analysis);
        foreach (var (name, text) in Tables)
        {
            Directory.CreateDirectory(folder);
            File.WriteAllText(Path.Combine(folder, name), text);
        }

        return Record with { Files = [.. Tables.Keys.Select(name => Path.Combine(folder, name)).Select(file => new ExportedFile($"{ArtifactFiles.Analysis}/{Path.GetFileName(file)}", RecipeFiles.Digest(file), new FileInfo(file).Length))] };
    }
}

/// <summary>The weights that a recipe leaves, to be read and changed.</summary>
/// <param name="run">The prepared recipe.</param>
/// <param name="solved">The compressed and trained layers.</param>
/// <param name="trained">What was trained, or null.</param>
internal sealed class AnalyzedWeights(PreparedRun run, SolvedLayers solved, TrainedModel? trained)
{
    /// <summary>The layers that a step or an analysis works on.</summary>
    public SolvedLayers Solved => solved;

    /// <summary>What identifies the state of a layer's weight.</summary>
    public string KeyOf(string path) => solved.Layers.TryGetValue(path, out var layer) ? layer.Key : run.Weights.Digest(path + ".weight");

    /// <summary>A linear layer's weight [out, in] as the recipe leaves it, in the caller's dispose scope.</summary>
    public Tensor Read(string path) => solved.Layers.TryGetValue(path, out var layer) ? layer.Result.Weight.Materialize() : run.Weights.Read(path + ".weight");

    /// <summary>Adds a change of low rank to a linear layer: a dense weight stays dense, one of few bits gets it beside it, and an adapter takes it up.</summary>
    /// <param name="path">The layer, one of <see cref="Solved"/>.</param>
    /// <param name="change">B [out, r] and A [r, in].</param>
    /// <param name="what">What the change is, for the cache.</param>
    /// <param name="facts">What is to be told of it.</param>
    public void Add(string path, FactorPair change, string what, IReadOnlyDictionary<string, double> facts)
    {
        using var scope = NewDisposeScope();
        var layer = solved.Layers[path];
        var before = layer.Result;
        Expression weight;
        if (trained?.Adapters.GetValueOrDefault(path) is { } adapter)
        {
            var frozen = trained.Weights[path];
            var edited = Edited(adapter, frozen, before.Weight, change);
            weight = edited.ToExpression(frozen);
            trained.Adapters[path] = edited;
            adapter.Dispose();
        }
        else
        {
            var type = before.Weight.Materialize().dtype;
            weight = before.Weight is Dense
                ? new Dense(Sum(before.Weight, change, type).DetachFromDisposeScope())
                : new Sum(FrozenWeight.Shared(before.Weight), new Product(new Dense(change.B.to(type, copy: true).DetachFromDisposeScope()), new Dense(change.A.to(type, copy: true).DetachFromDisposeScope())));
        }

        var result = layer.Unit.With(before, weight, null, facts, []);
        before.Weight.Dispose();
        solved.Layers[path] = new(layer.Unit, new ContentKey("edited").Add("layer", layer.Key).Add("edit", what).ToString(), result);
    }

    private static Adapter Edited(Adapter adapter, Expression frozen, Expression current, FactorPair change)
    {
        if (adapter.AsLowRank() is not { } delta)
        {
            return FineTuneMethod.Of(frozen, Sum(current, change, current.Materialize().dtype));
        }

        using (delta)
        {
            return LoraMethod.Beside(frozen, cat([delta.A.to(float64), change.A.to(float64)], 0), cat([delta.B.to(float64) * delta.Scaling, change.B.to(float64)], 1));
        }
    }

    private static Tensor Sum(Expression weight, FactorPair change, ScalarType type) => (weight.Materialize().to(float64) + change.B.to(float64).mm(change.A.to(float64))).to(type);
}
