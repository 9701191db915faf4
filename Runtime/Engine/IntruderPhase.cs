using System.Collections.Concurrent;
using System.Globalization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Analysis;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Carries out <see cref="IntruderDimensions"/>: compares what the recipe leaves with the weights before tuning, layer by layer, and takes a part of it back where the recipe says so.</summary>
internal sealed class IntruderPhase(IntruderDimensions settings, PlacedAnalysis place, IModelPipeline pipeline, PreparedRun run, ContentStore store, RunOptions options, IRunObserver observer)
{
    /// <summary>Raised whenever the same weights give other findings.</summary>
    private const int Version = 1;

    private const string RankEntry = "rank";
    private const string UpdateEntry = "update";

    /// <summary>Finds the intruders, and scales them down where the recipe says so.</summary>
    public IntruderRecord Find(AnalyzedWeights weights, CancellationToken cancellation)
    {
        using var other = settings.Base.Length > 0 ? WeightStore.Open(run.Paths[RecipeFiles.Base]) : null;
        var before = other ?? run.Weights;
        var pattern = new LayerPattern(settings.Layers);
        var paths = ModelLayer.Find(run.Model)
            .Where(layer => layer.Kind == LayerKinds.Linear && pattern.Matches(layer.Path) && (other is not null || weights.Solved.Layers.ContainsKey(layer.Path)))
            .Select(layer => layer.Path).Order(StringComparer.Ordinal).ToList();
        paths.ForEach(path => Require(before, path));
        var found = new ConcurrentDictionary<string, string>(StringComparer.Ordinal);
        WorkerThreads.Run(paths, options.Cores, path => found[path] = Compared(before, weights, path, cancellation), cancellation);
        var report = new IntruderReport([.. paths.Select(path => (path, Read(found[path])))]);
        var mitigation = settings.Edits ? Mitigate(before, weights, report, cancellation) : null;
        observer.Progress($"{run.Recipe.Name}: {report.Count} intruders among the {settings.TopK} leading directions of {paths.Count} layers");
        return new(
            settings.Base.Length > 0 ? settings.Base : run.Recipe.Weights,
            settings.TopK,
            settings.Threshold,
            SettingDescriptor.Format(settings.Side),
            settings.Window,
            [.. report.Layers.Select(layer => Describe(layer.Name, layer.Findings))],
            [.. report.Counts.Select(count => new IntruderCount(count.Epsilon, count.TopK, count.Count))],
            mitigation);
    }

    private IntruderLayer Describe(string path, IntruderFindings findings) => new(
        path,
        findings.Count,
        findings.EnergyShare,
        double.IsFinite(findings.RelativeUpdate) ? findings.RelativeUpdate : null,
        [.. findings.MaxCosines.Take(Math.Min(settings.TopK, findings.NumericalRank))],
        [.. findings.SingularValues.Take(Math.Min(settings.TopK, findings.NumericalRank))]);

    private void Require(WeightStore before, string path)
    {
        string name = path + ".weight";
        var span = place.SpanOf(nameof(IntruderDimensions.Base));
        if (!before.Contains(name))
        {
            throw new PipelineException(DiagnosticIds.WeightsDoNotFitModel, $"'{settings.Base}' holds no '{name}', which this recipe compares with; name the weights of the same model before tuning, or narrow 'layers'", span);
        }

        if (!before.Info(name).Shape.SequenceEqual(run.Weights.Info(name).Shape))
        {
            throw new PipelineException(
                DiagnosticIds.WeightsDoNotFitModel,
                $"'{name}' is [{string.Join(", ", before.Info(name).Shape)}] in '{settings.Base}' and [{string.Join(", ", run.Weights.Info(name).Shape)}] in '{run.Recipe.Weights}'; name the weights of the same model before tuning",
                span);
        }
    }

    private string Compared(WeightStore before, AnalyzedWeights weights, string path, CancellationToken cancellation)
    {
        string key = Key("intruders", before, weights, path).ToString();
        return store.FindOrMake(key, () => Compare(before, weights, path, key), cancellation);
    }

    private string Compare(WeightStore before, AnalyzedWeights weights, string path, string key)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var tuned = weights.Read(path);
        IntruderFindings findings;
        try
        {
            findings = new IntruderSearch(settings).Compare(before.Read(path + ".weight").reshape(tuned.shape), tuned);
        }
        catch (InvalidOperationException failure)
        {
            throw new PipelineException(DiagnosticIds.LayerFailed, $"'intruderDimensions' on '{path}': {failure.Message}", place.Span, failure);
        }

        string file = store.Put(key, target => SafetensorsWriter.Write(
            target,
            [
                KeyValuePair.Create("base", tensor(findings.BaseSingularValues.ToArray())),
                KeyValuePair.Create("values", tensor(findings.SingularValues.ToArray())),
                KeyValuePair.Create("cosines", tensor(findings.MaxCosines.ToArray())),
                .. findings.Count > 0 ? [KeyValuePair.Create("directions", findings.Directions.contiguous())] : Array.Empty<KeyValuePair<string, Tensor>>(),
            ],
            new Dictionary<string, string>
            {
                [RankEntry] = findings.NumericalRank.ToString(CultureInfo.InvariantCulture),
                [UpdateEntry] = findings.RelativeUpdate.ToString("R", CultureInfo.InvariantCulture),
            }));
        observer.Record($"intruders {run.Recipe.Name} {path}");
        return file;
    }

    /// <summary>The findings of a layer, whether they were made now or earlier; in the phase's dispose scope.</summary>
    private IntruderFindings Read(string path)
    {
        using var file = SafetensorsFile.Open(path);
        double[] cosines = Numbers(file, "cosines");
        int rank = int.Parse(file.Metadata[RankEntry], CultureInfo.InvariantCulture);
        int[] intruders = [.. Enumerable.Range(0, Math.Min(settings.TopK, rank)).Where(j => cosines[j] < settings.Threshold)];
        return new()
        {
            Settings = settings,
            BaseSingularValues = Numbers(file, "base"),
            SingularValues = Numbers(file, "values"),
            MaxCosines = cosines,
            NumericalRank = rank,
            Intruders = intruders,
            Directions = intruders.Length > 0 ? file.Read("directions") : zeros([0, 0], dtype: float64),
            RelativeUpdate = double.Parse(file.Metadata[UpdateEntry], CultureInfo.InvariantCulture),
        };
    }

    private static double[] Numbers(SafetensorsFile file, string name)
    {
        using var values = file.Read(name);
        return values.data<double>().ToArray();
    }

    /// <summary>Scales the intruders down, and measures what it does beside doing nothing and shrinking the whole change alike.</summary>
    private MitigationRecord Mitigate(WeightStore before, AnalyzedWeights weights, IntruderReport report, CancellationToken cancellation)
    {
        var mitigation = new IntruderMitigation { Lambda = settings.Remain };
        var layers = report.Layers.Where(layer => layer.Findings.Count > 0 && weights.Solved.Layers.ContainsKey(layer.Name)).ToList();
        double? without = null, control = null;
        if (run.Recipe.Evaluate is not null && layers.Count > 0)
        {
            var evaluation = new EvaluationPhase(pipeline, run, store, options, observer);
            var state = new ContentKey("state");
            weights.Solved.Layers.Values.ToList().ForEach(layer => state.Add(layer.Unit.Path, layer.Key));
            without = evaluation.Of(weights.Solved, new Dictionary<string, Expression>(), state.ToString(), cancellation);
            var shrunk = layers.ToDictionary(layer => layer.Name, layer =>
            {
                var tuned = weights.Read(layer.Name);
                return (Expression)new Dense(mitigation.Control(before.Read(layer.Name + ".weight").reshape(tuned.shape), tuned, layer.Findings).Weight);
            });
            layers.ForEach(layer => state.Add("shrunk", Key("control", before, weights, layer.Name).Add("remain", settings.Remain).ToString()));
            control = evaluation.Of(weights.Solved, shrunk, state.ToString(), cancellation);
            shrunk.Values.ToList().ForEach(weight => weight.Dispose());
        }

        foreach (var (path, findings) in layers)
        {
            using var scope = NewDisposeScope();
            weights.Add(
                path,
                mitigation.Change(weights.Read(path), findings),
                Key("mitigated", before, weights, path).Add("remain", settings.Remain).ToString(),
                new Dictionary<string, double> { ["intruders"] = findings.Count });
        }

        return new(settings.Remain, layers.Count, without, control);
    }

    private ContentKey Key(string kind, WeightStore before, AnalyzedWeights weights, string path) => new ContentKey(kind)
        .Add("version", Version)
        .Add("tensors", TensorLibrary.Version)
        .Add("base", before.Digest(path + ".weight"))
        .Add("tuned", weights.KeyOf(path))
        .Add("topK", settings.TopK)
        .Add("threshold", settings.Threshold)
        .Add("side", settings.Side.ToString())
        .Add("window", settings.Window);
}
