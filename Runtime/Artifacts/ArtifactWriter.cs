using System.Text;
using PipelineDsl.Diagnostics;
using PipelineDsl.Plans;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Report;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Artifacts;

/// <summary>Writes an artifact beside its place first, and moves it there when everything about it is known and accepted.</summary>
internal sealed class ArtifactWriter : IDisposable
{
    private static readonly UTF8Encoding Utf8 = new(false);

    private readonly PreparedRun run;
    private readonly string staging;
    private readonly string target;
    private readonly string refused;
    private readonly List<TensorRecord> kept = [];

    private ArtifactWriter(PreparedRun run, string outputDirectory)
    {
        this.run = run;
        target = Path.Combine(outputDirectory, run.Recipe.Name);
        refused = Path.Combine(RefusedFolder(outputDirectory), run.Recipe.Name);
        staging = Path.Combine(outputDirectory, "." + run.Recipe.Name + ".new");
    }

    /// <summary>The folder that the artifact is written in before it is published.</summary>
    public string Folder => staging;

    /// <summary>SHA-256 of the new weights file.</summary>
    public string Digest { get; private set; } = "";

    /// <summary>Writes the weights of a new artifact beside its place.</summary>
    /// <exception cref="PipelineException">PDSL3012: the folder or the file cannot be written.</exception>
    public static ArtifactWriter Stage(PreparedRun run, SolvedLayers solved, string outputDirectory)
    {
        var writer = new ArtifactWriter(run, outputDirectory);
        try
        {
            Directory.CreateDirectory(writer.staging);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new PipelineException(DiagnosticIds.FileFailed, $"the output folder '{outputDirectory}' cannot be made: {failure.Message.TrimEnd('.')}; check PipelineDslOutputDirectory and the rights of its folder", outputDirectory, failure);
        }

        try
        {
            writer.WriteWeights(solved);
            return writer;
        }
        catch
        {
            writer.Dispose();
            throw;
        }
    }

    /// <summary>What a manifest names a plan by.</summary>
    public static string DigestOf(Plan plan) => new ContentKey("plan").Add("text", LockFile.Write(plan)).ToString();

    /// <summary>The manifest of the new artifact.</summary>
    public Manifest Describe(SolvedLayers solved, OrderedBlocks? blocks, QualityRecord? quality, string device)
    {
        var layers = solved.Layers.Values.Select(Describe).ToList();
        long bytes = layers.Sum(layer => layer.BytesAfter) + kept.Sum(tensor => tensor.Bytes);
        return new Manifest
        {
            Recipe = run.Recipe.Name,
            Model = run.Recipe.Model,
            Engine = TensorLibrary.Engine,
            TensorLibrary = TensorLibrary.Version,
            Device = device,
            Seed = run.Recipe.Seed,
            Plan = DigestOf(run.Plan),
            Sources = run.Sources,
            Weights = Digest,
            Bytes = new(run.Sources[RecipeFiles.Weights].Bytes, bytes),
            Quality = quality,
            Layers = layers,
            Elastic = blocks is null ? null : ElasticRecord.Of(blocks.Layers, blocks.Order, bytes),
            Kept = kept,
            Warnings = [.. layers.SelectMany(layer => layer.Notes.Select(note => $"{layer.Path}: {note}"))],
        };
    }

    /// <summary>Adds reports and manifest and puts the files into place, the manifest last.</summary>
    /// <returns>The artifact's files by full path.</returns>
    public IReadOnlyList<string> Publish(Manifest manifest, RunFacts facts)
    {
        WriteReports(staging, manifest, facts);
        File.WriteAllText(Path.Combine(staging, ArtifactFiles.Manifest), ManifestFile.Write(manifest), Utf8);
        Directory.CreateDirectory(target);
        string[] exported = [.. (manifest.Exports?.SelectMany(export => export.Files) ?? []).Concat(manifest.Training?.Adapter?.Files ?? []).Concat(manifest.Analysis?.Files ?? []).Select(file => file.Path)];
        RemoveStale(ArtifactFiles.Exports, exported);
        RemoveStale(ArtifactFiles.Adapter, exported);
        RemoveStale(ArtifactFiles.Analysis, exported);
        var files = new List<string>();
        foreach (string name in exported.Concat(ArtifactFiles.All))
        {
            string place = Path.Combine(target, name);
            Directory.CreateDirectory(Path.GetDirectoryName(place)!);
            MoveWhenDifferent(Path.Combine(staging, name), place);
            files.Add(place);
        }

        if (Directory.Exists(refused))
        {
            Directory.Delete(refused, recursive: true);
        }

        return files;
    }

    /// <summary>Writes the reports of an artifact that is not accepted beside the folder of artifacts; what was published before stays.</summary>
    /// <returns>Full path of the page.</returns>
    public string Refuse(Manifest manifest, RunFacts facts)
    {
        Directory.CreateDirectory(refused);
        WriteReports(refused, manifest, facts);
        return Path.Combine(refused, ArtifactFiles.HtmlReport);
    }

    /// <summary>The folder that holds a folder of reports for every recipe whose last artifact was not accepted.</summary>
    /// <param name="outputDirectory">The folder of artifacts.</param>
    public static string RefusedFolder(string outputDirectory) => Path.TrimEndingDirectorySeparator(outputDirectory) + ".refused";

    /// <summary>Files below a folder that the recipe no longer asks for.</summary>
    private void RemoveStale(string name, string[] exported)
    {
        string folder = Path.Combine(target, name);
        if (!Directory.Exists(folder))
        {
            return;
        }

        var current = exported.Select(name => Path.GetFullPath(Path.Combine(target, name))).ToHashSet(StringComparer.Ordinal);
        foreach (string stale in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Where(file => !current.Contains(Path.GetFullPath(file))))
        {
            File.Delete(stale);
        }

        foreach (string empty in Directory.GetDirectories(folder).Prepend(folder).Where(place => !Directory.EnumerateFiles(place, "*", SearchOption.AllDirectories).Any()).ToList())
        {
            if (Directory.Exists(empty))
            {
                Directory.Delete(empty, recursive: true);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Directory.Exists(staging))
        {
            Directory.Delete(staging, recursive: true);
        }
    }

    private static void WriteReports(string folder, Manifest manifest, RunFacts facts)
    {
        File.WriteAllText(Path.Combine(folder, ArtifactFiles.HtmlReport), HtmlReport.Write(manifest, facts), Utf8);
        File.WriteAllText(Path.Combine(folder, ArtifactFiles.MarkdownReport), MarkdownReport.Write(manifest, facts), Utf8);
        File.WriteAllText(Path.Combine(folder, ArtifactFiles.JsonReport), JsonReport.Write(manifest, facts), Utf8);
    }

    private void WriteWeights(SolvedLayers solved)
    {
        var replaced = new HashSet<string>(StringComparer.Ordinal);
        var entries = new List<PendingTensor>();
        foreach (var layer in solved.Layers.Values)
        {
            replaced.Add(layer.Unit.Layer.WeightName);
            if (layer.Summary.BiasBytes is not null)
            {
                replaced.Add(layer.Unit.Layer.BiasName);
            }

            entries.AddRange(layer.Tensors().Select(tensor => tensor with { Name = layer.Unit.Path + "." + tensor.Name }));
        }

        foreach (string name in run.Model.state_dict().Keys.Where(name => run.Weights.Contains(name) && !replaced.Contains(name)).Order(StringComparer.Ordinal))
        {
            var info = run.Weights.Info(name);
            kept.Add(new(name, info.Shape, info.ByteCount));
            entries.Add(new(name, info.Type, info.Shape, () => run.Weights.Read(name)));
        }

        string path = Path.Combine(staging, ArtifactFiles.Weights);
        SafetensorsWriter.Write(path, entries, new Dictionary<string, string> { ["recipe"] = run.Recipe.Name, ["model"] = run.Recipe.Model });
        Digest = RecipeFiles.Digest(path);
    }

    private LayerRecord Describe(SolvedUnit layer)
    {
        var unit = layer.Unit;
        var result = layer.Summary;
        long oldBias = run.Weights.Contains(unit.Layer.BiasName) ? run.Weights.Info(unit.Layer.BiasName).ByteCount : 0;
        return new LayerRecord(
            unit.Path,
            unit.Plan.Shape.Kind.ToString().ToLowerInvariant(),
            run.Weights.Info(unit.Layer.WeightName).Shape,
            run.WeightDigests[unit.Path],
            layer.Key,
            [.. unit.Plan.Steps.Select(step => step.ToString())],
            unit.Plan.BytesBefore + (result.BiasBytes is null ? 0 : oldBias),
            result.WeightBytes + (result.BiasBytes ?? 0),
            result.BiasBytes is not null,
            result.Weight,
            result.Facts,
            result.Spectrum,
            result.Notes);
    }

    /// <summary>An unchanged file keeps its time, so that nothing downstream is copied again.</summary>
    private static void MoveWhenDifferent(string from, string to)
    {
        if (!File.Exists(to) || !HoldSame(from, to))
        {
            File.Move(from, to, overwrite: true);
        }
    }

    private static bool HoldSame(string one, string other)
    {
        using var first = File.OpenRead(one);
        using var second = File.OpenRead(other);
        if (first.Length != second.Length)
        {
            return false;
        }

        byte[] left = new byte[1 << 16];
        byte[] right = new byte[left.Length];
        int count;
        while ((count = first.ReadAtLeast(left, left.Length, throwOnEndOfStream: false)) > 0)
        {
            if (second.ReadAtLeast(right.AsSpan(0, count), count, throwOnEndOfStream: false) != count || !left.AsSpan(0, count).SequenceEqual(right.AsSpan(0, count)))
            {
                return false;
            }
        }

        return true;
    }
}
