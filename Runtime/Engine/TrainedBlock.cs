using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Reconstruction;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>A block that is trained, and the compressed layers around its training.</summary>
/// <param name="Path">Its path.</param>
/// <param name="Calls">Its calls.</param>
/// <param name="Settings">How it is trained.</param>
/// <param name="Layers">The layers that are trained.</param>
/// <param name="Before">The compressed layers that the model calls before it.</param>
/// <param name="Others">The compressed layers inside it that are not trained.</param>
internal sealed record TrainedBlock(
    string Path,
    ModuleCalls Calls,
    ReconstructionSettings Settings,
    IReadOnlyList<SolvedUnit> Layers,
    IReadOnlyList<SolvedUnit> Before,
    IReadOnlyList<SolvedUnit> Others)
{
    /// <summary>Its calls in the run's model: the arguments when everything before it is compressed, and the original's results. The caller owns them.</summary>
    /// <exception cref="PipelineException">PDSL3007: the original's results cannot be aimed at.</exception>
    public IReadOnlyList<BlockSample> Samples(BlockCapture capture)
    {
        var place = Layers[0].Unit.Plan.Span;
        var arguments = Arguments(capture, place);
        var targets = Settings.Teacher == TeacherInputs.Original ? capture.Outputs(Calls) : [.. arguments.Select(Answer)];
        List<BlockSample> samples = [.. arguments.Zip(targets, (given, wanted) => new BlockSample(given, wanted))];
        if (Problem(arguments.Count, targets) is { } problem)
        {
            samples.ForEach(sample => sample.Dispose());
            throw new PipelineException(DiagnosticIds.LayerFailed, $"block '{Path}' cannot be reconstructed: {problem}", place);
        }

        return samples;
    }

    private List<object?[]> Arguments(BlockCapture capture, SourceSpan place)
    {
        var prefix = new List<TemporaryWeight>();
        try
        {
            prefix.AddRange(Before.Select(layer => new TemporaryWeight(layer.Unit.Layer, layer.Result.Weight, layer.Result.Bias)));
            return capture.Arguments(Calls, Path, place);
        }
        finally
        {
            prefix.ForEach(weight => weight.Dispose());
        }
    }

    private IReadOnlyList<Tensor> Answer(object?[] arguments)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        return BlockSample.KeptOutputsOf(Calls.Call([.. arguments.Select(CallValues.Copy)]));
    }

    private static string? Problem(int calls, List<IReadOnlyList<Tensor>> targets)
    {
        using var scope = NewDisposeScope();
        return calls != targets.Count ? $"the original model calls it {targets.Count} times on the calibration data, the compressed one {calls} times"
            : targets.Exists(outputs => outputs.Count == 0) ? "it returns no floating-point tensor"
            : !targets.TrueForAll(outputs => outputs.All(output => output.isfinite().all().item<bool>())) ? "the original model's output there holds NaN or infinity; check the calibration data"
            : null;
    }
}
