using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;

namespace PipelineDsl.Runtime.Export;

/// <summary>Writes compressed models in the layout of another program; what the layout has no place for is written as plain floats.</summary>
internal interface IExporter
{
    /// <summary>The format.</summary>
    ExportFormats Format { get; }

    /// <summary>Refuses, before anything is solved, what can be seen to be impossible.</summary>
    /// <exception cref="PipelineException">PDSL3016: the format cannot hold the model.</exception>
    void Check(PreparedRun run)
    {
    }

    /// <summary>Writes the model into a folder of its own.</summary>
    ExportOutcome Write(ExportSource source, string folder);
}

/// <summary>What an exporter did.</summary>
/// <param name="Quantized">The layers that it wrote as codes, by path.</param>
/// <param name="Floats">The compressed layers that it wrote as plain floats though they are something else.</param>
/// <param name="Notes">What else the format cannot hold.</param>
internal sealed record ExportOutcome(IReadOnlyList<string> Quantized, IReadOnlyList<FloatLayer> Floats, IReadOnlyList<string> Notes);
