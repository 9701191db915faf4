using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Export;

/// <summary>Writes a compressed model in every layout that its recipe asks for.</summary>
internal sealed class ExportPhase(PreparedRun run, IRunObserver observer)
{
    private static readonly IExporter[] Exporters = [new GptqExporter(), new CompressedTensorsExporter(), new BitsandbytesExporter(), new GgufExporter()];

    private IEnumerable<IExporter> Wanted => Exporters.Where(exporter => run.Recipe.Export.HasFlag(exporter.Format));

    /// <summary>Refuses, before anything is solved, what can be seen to be impossible.</summary>
    /// <exception cref="PipelineException">PDSL3016: a format cannot hold the model.</exception>
    public void Check()
    {
        foreach (var exporter in Wanted)
        {
            exporter.Check(run);
        }
    }

    /// <summary>Writes the exports and reports what they had to leave as floats.</summary>
    /// <param name="solved">The solved layers.</param>
    /// <param name="artifact">The artifact's folder.</param>
    /// <returns>Null when the recipe asks for none.</returns>
    public IReadOnlyList<ExportRecord>? Write(SolvedLayers solved, string artifact)
    {
        if (run.Recipe.Export == ExportFormats.None)
        {
            return null;
        }

        using var noGradients = no_grad();
        var source = new ExportSource(run, solved);
        return [.. Wanted.Select(exporter => Write(exporter, source, artifact))];
    }

    private ExportRecord Write(IExporter exporter, ExportSource source, string artifact)
    {
        string format = SettingDescriptor.Format(exporter.Format);
        observer.Progress($"{run.Recipe.Name}: exporting {format}");
        string folder = Path.Combine(artifact, ArtifactFiles.Exports, format);
        var outcome = exporter.Write(source, folder);
        string[] notes = [.. outcome.Notes, .. source.AddedBiases.Select(bias => $"'{bias}' is new, and programs that know the architecture have no place for it")];
        var files = Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal)
            .Select(file => new ExportedFile(string.Join('/', ArtifactFiles.Exports, format, Path.GetFileName(file)), RecipeFiles.Digest(file), new FileInfo(file).Length));
        var record = new ExportRecord(format, [.. files], outcome.Quantized, outcome.Floats, notes);
        foreach (string remark in record.Remarks())
        {
            observer.Report(new(DiagnosticIds.NotExportable, Severity.Warning, $"export '{format}' {remark}", run.Recipe.ExportSpan ?? run.Recipe.Span));
        }

        return record;
    }
}
