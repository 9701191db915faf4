using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Native;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>Runs the user's whole model on calibration data and keeps what goes into, or comes out of, one of its blocks.</summary>
/// <param name="pipeline">The pipeline that runs the model.</param>
/// <param name="model">The model.</param>
/// <param name="batches">Opens the batches; each is disposed.</param>
/// <param name="cancellation">Stops between batches.</param>
internal sealed class BlockCapture(IModelPipeline pipeline, nn.Module model, Func<IEnumerable<Batch>> batches, CancellationToken cancellation)
{
    /// <summary>The floating-point outputs of each call of a block; the caller owns them.</summary>
    public List<IReadOnlyList<Tensor>> Outputs(ModuleCalls block)
    {
        var outputs = new List<IReadOnlyList<Tensor>>();
        Run(block.WatchResult(result => outputs.Add(BlockSample.KeptOutputsOf(result[0]))));
        return outputs;
    }

    /// <summary>The arguments of each call of a block; the caller owns their tensors.</summary>
    /// <param name="block">The block.</param>
    /// <param name="path">Its path, for messages.</param>
    /// <param name="place">Where the recipe asks for its reconstruction, for messages.</param>
    /// <exception cref="PipelineException">PDSL3007: an argument cannot be kept.</exception>
    public List<object?[]> Arguments(ModuleCalls block, string path, SourceSpan place)
    {
        var arguments = new List<object?[]>();
        Run(block.WatchArguments(given => arguments.Add(Kept(given, path, place))));
        return arguments;
    }

    /// <summary>The order in which modules are first called; those that are not are absent.</summary>
    public IReadOnlyDictionary<string, int> FirstCalls(IEnumerable<(string Path, nn.Module Module)> modules)
    {
        var order = new Dictionary<string, int>(StringComparer.Ordinal);
        var hooks = modules.Select(item => ModuleCalls.Of(item.Module)?.WatchArguments(_ => order.TryAdd(item.Path, order.Count))).ToList();
        try
        {
            using var noGradients = no_grad();
            using var batch = batches().First();
            using var scope = NewDisposeScope();
            pipeline.Run(model, batch);
        }
        finally
        {
            hooks.ForEach(hook => hook?.Dispose());
        }

        return order;
    }

    private static object?[] Kept(object?[] given, string path, SourceSpan place)
    {
        try
        {
            object?[] copies = [.. given.Select(CallValues.Copy)];
            foreach (var tensor in CallValues.TensorsOf(copies))
            {
                tensor.DetachFromDisposeScope();
            }

            return copies;
        }
        catch (NotSupportedException failure)
        {
            throw new PipelineException(DiagnosticIds.LayerFailed, $"block '{path}' cannot be reconstructed, for one of its arguments is of no kind that can be given to it again: {failure.Message}; say 'reconstruct: layer'", place, failure);
        }
    }

    private void Run(IDisposable hook)
    {
        using (hook)
        {
            using var noGradients = no_grad();
            foreach (var batch in batches())
            {
                using (batch)
                using (NewDisposeScope())
                {
                    cancellation.ThrowIfCancellationRequested();
                    FinalizerGate.Drain();
                    pipeline.Run(model, batch);
                }
            }
        }
    }
}
