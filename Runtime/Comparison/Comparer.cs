using System.Globalization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Plans;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Formats.Safetensors;

namespace PipelineDsl.Runtime.Comparison;

/// <summary>Compares two artifacts or two lock files. Needs no tensor library.</summary>
public static class Comparer
{
    private const string RelativeError = "relativeError";

    /// <summary>Compares two paths: folders of artifacts, or lock files.</summary>
    /// <exception cref="PipelineException">PDSL3010: an artifact is missing or damaged. PDSL1015, PDSL3012: a lock file is missing or cannot be read. PDSL1001: it is none. PDSL1007: one path is an artifact and the other a lock file.</exception>
    public static ComparisonReport Compare(string old, string current)
    {
        bool oldIsLock = IsLock(old);
        return oldIsLock == IsLock(current)
            ? oldIsLock ? CompareLocks(old, current) : CompareArtifacts(old, current)
            : throw new PipelineException(DiagnosticIds.ContradictorySettings, $"'{old}' and '{current}' cannot be compared: one is a lock file and the other an artifact; name two folders of artifacts or two lock files", current);
    }

    /// <summary>Compares two folders of artifacts.</summary>
    /// <exception cref="PipelineException">PDSL3010: one is missing or damaged. PDSL3002, PDSL3012: its weights file cannot be read.</exception>
    public static ComparisonReport CompareArtifacts(string old, string current)
    {
        var before = ManifestFile.Read(old);
        var after = ManifestFile.Read(current);
        using var bits = new StoredBits(old, before, current, after);
        var layers = Pair(before.Layers, after.Layers, layer => layer.Path)
            .Select(pair => Layer(old, current, pair.Old, pair.New, bits)).ToList();
        return new()
        {
            Kind = "artifact",
            Old = Side(old, before),
            New = Side(current, after),
            Layers = [.. layers.OfType<ComparedLayer>()],
            UnchangedLayers = layers.Count(layer => layer is null),
            Sources = Sources(before.Sources.ToDictionary(source => source.Key, source => source.Value.Sha256), after.Sources.ToDictionary(source => source.Key, source => source.Value.Sha256)),
            Values =
            [
                .. Value("model", before.Model, after.Model),
                .. Value("seed", Text(before.Seed), Text(after.Seed)),
                .. Value("engine", before.Engine, after.Engine),
                .. Value("tensorLibrary", before.TensorLibrary, after.TensorLibrary),
                .. Value("device", before.Device, after.Device),
            ],
            IdenticalWeights = before.Weights == after.Weights,
        };
    }

    /// <summary>Compares two lock files.</summary>
    /// <exception cref="PipelineException">PDSL1015, PDSL3012: one is missing or cannot be read. PDSL1001: it is no lock file.</exception>
    public static ComparisonReport CompareLocks(string old, string current)
    {
        var before = ReadLock(old);
        var after = ReadLock(current);
        var layers = Pair(before.Layers, after.Layers, layer => layer.Path).Select(pair => Layer(old, current, pair.Old, pair.New)).ToList();
        return new()
        {
            Kind = "lock",
            Old = Side(old, before),
            New = Side(current, after),
            Layers = [.. layers.OfType<ComparedLayer>()],
            UnchangedLayers = layers.Count(layer => layer is null),
            Sources = Sources(before.Digests, after.Digests),
            Values =
            [
                .. Value("model", before.Model, after.Model),
                .. Value("seed", Text(before.Seed), Text(after.Seed)),
                .. Value("train", before.Train, after.Train),
                .. before.Analyze.Keys.Union(after.Analyze.Keys).Order(StringComparer.Ordinal).SelectMany(name => Value(name, before.Analyze.GetValueOrDefault(name), after.Analyze.GetValueOrDefault(name))),
            ],
        };
    }

    private static bool IsLock(string path) => path.EndsWith(".yaml", StringComparison.OrdinalIgnoreCase) || (File.Exists(path) && !Directory.Exists(path));

    private static LockedPlan ReadLock(string path)
    {
        string text = ReadableFile.Try(path, File.ReadAllText);
        try
        {
            return LockFile.Read(text);
        }
        catch (FormatException failure)
        {
            throw new PipelineException(DiagnosticIds.BrokenYaml, $"'{path}' is no lock file: {failure.Message}; name a file '*{LockFile.Suffix}' that a build wrote", path, failure);
        }
    }

    private static ComparedSide Side(string path, Manifest manifest) => new(
        path,
        manifest.Recipe,
        manifest.Layers.Count,
        manifest.Bytes.Before,
        manifest.Bytes.After,
        manifest.Quality is { } quality ? new(quality.Metric, quality.Before, quality.After, quality.Regression) : null);

    private static ComparedSide Side(string path, LockedPlan plan) =>
        new(path, plan.Recipe, plan.Layers.Count, plan.Layers.Sum(layer => layer.BytesBefore), plan.Layers.Sum(layer => layer.BytesAfter), null);

    private static ComparedLayer? Layer(string oldPath, string newPath, LayerRecord? old, LayerRecord? current, StoredBits bits)
    {
        var steps = Steps(oldPath, newPath, old?.Steps, current?.Steps);
        bool? identical = old is not null && current is not null ? bits.Same(old, current) : null;
        bool? original = old is not null && current is not null ? old.Source == current.Source : null;
        double? oldError = old?.Facts.GetValueOrDefault(RelativeError);
        double? newError = current?.Facts.GetValueOrDefault(RelativeError);
        bool same = old is not null && current is not null && steps.Count == 0 && identical != false && original == true
            && old.Shape.SequenceEqual(current.Shape) && old.BytesAfter == current.BytesAfter && oldError.Equals(newError);
        return same ? null : new()
        {
            Path = (old ?? current)!.Path,
            Difference = Difference(old, current),
            Steps = steps,
            OldShape = old?.Shape,
            NewShape = current?.Shape,
            OldBytes = old?.BytesAfter,
            NewBytes = current?.BytesAfter,
            OldError = oldError,
            NewError = newError,
            SameOriginal = original,
            IdenticalWeights = identical,
        };
    }

    private static ComparedLayer? Layer(string oldPath, string newPath, LockedLayer? old, LockedLayer? current)
    {
        var steps = Steps(oldPath, newPath, old?.Steps, current?.Steps);
        bool same = old is not null && current is not null && steps.Count == 0
            && (old.Rows, old.Columns, old.BytesBefore, old.BytesAfter) == (current.Rows, current.Columns, current.BytesBefore, current.BytesAfter);
        return same ? null : new()
        {
            Path = (old ?? current)!.Path,
            Difference = Difference(old, current),
            Steps = steps,
            OldShape = old is null ? null : [old.Rows, old.Columns],
            NewShape = current is null ? null : [current.Rows, current.Columns],
            OldBytes = old?.BytesAfter,
            NewBytes = current?.BytesAfter,
        };
    }

    private static LayerDifference Difference(object? old, object? current) => old is null ? LayerDifference.Added : current is null ? LayerDifference.Removed : LayerDifference.Changed;

    private static IReadOnlyList<StepChange> Steps(string oldPath, string newPath, IReadOnlyList<string>? old, IReadOnlyList<string>? current)
    {
        try
        {
            return StepComparison.Of(old ?? [], current ?? []);
        }
        catch (FormatException failure)
        {
            throw new PipelineException(DiagnosticIds.ArtifactRefused, $"a step in '{oldPath}' or '{newPath}' cannot be read: {failure.Message}; build the project again", newPath, failure);
        }
    }

    private static IReadOnlyList<ComparedSource> Sources(IReadOnlyDictionary<string, string> old, IReadOnlyDictionary<string, string> current) =>
        [.. old.Keys.Union(current.Keys).Order(StringComparer.Ordinal)
            .Select(role => new ComparedSource(role, old.GetValueOrDefault(role), current.GetValueOrDefault(role)))
            .Where(source => source.Old != source.New)];

    private static IEnumerable<ComparedValue> Value(string name, string? old, string? current) => old == current ? [] : [new(name, old, current)];

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>What has the same path on both sides, by path.</summary>
    private static IEnumerable<(T? Old, T? New)> Pair<T>(IReadOnlyList<T> old, IReadOnlyList<T> current, Func<T, string> path)
        where T : class
    {
        var before = old.ToDictionary(path, StringComparer.Ordinal);
        var after = current.ToDictionary(path, StringComparer.Ordinal);
        return before.Keys.Union(after.Keys).Order(StringComparer.Ordinal).Select(key => (before.GetValueOrDefault(key), after.GetValueOrDefault(key)));
    }

    /// <summary>What two artifacts store for a layer, to the bit; unknown where a weights file is not there.</summary>
    private sealed class StoredBits : IDisposable
    {
        private readonly bool identical;
        private readonly SafetensorsFile? old;
        private readonly SafetensorsFile? current;

        public StoredBits(string oldFolder, Manifest oldManifest, string newFolder, Manifest newManifest)
        {
            identical = oldManifest.Weights == newManifest.Weights;
            var (before, after) = (Path.Combine(oldFolder, ArtifactFiles.Weights), Path.Combine(newFolder, ArtifactFiles.Weights));
            if (!identical && File.Exists(before) && File.Exists(after))
            {
                old = SafetensorsFile.Open(before);
                current = SafetensorsFile.Open(after);
            }
        }

        public bool? Same(LayerRecord before, LayerRecord after)
        {
            if (identical || old is null || current is null)
            {
                return identical ? true : null;
            }

            var names = Names(old, before.Path);
            return names.SequenceEqual(Names(current, after.Path)) && names.TrueForAll(name => old.Info(name) is var info && current.Info(name) is var other
                && info.Type == other.Type && info.Shape.SequenceEqual(other.Shape) && old.Digest(name) == current.Digest(name));
        }

        public void Dispose()
        {
            old?.Dispose();
            current?.Dispose();
        }

        /// <summary>The tensors of a layer, its bias included: no layer holds another.</summary>
        private static List<string> Names(SafetensorsFile file, string path) =>
            [.. file.Names.Where(name => name.StartsWith(path + ".", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];
    }
}
