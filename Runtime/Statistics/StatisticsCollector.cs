using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Native;
using PipelineDsl.Runtime.Numerics;
using TorchSharp;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Statistics;

/// <summary>Runs calibration data through the user's own model and collects what each layer's steps ask for.</summary>
/// <remarks>
/// Layers that read the same tensor share one set of sums: which do is seen in the first batch. A model that
/// later feeds them different tensors is collected again without sharing.
/// </remarks>
internal sealed class StatisticsCollector : IDisposable
{
    private const StatisticKinds AnySum = StatisticKinds.InputMoments | StatisticKinds.InputMagnitudes | StatisticKinds.InputNorms | StatisticKinds.InputSamples |
        StatisticKinds.ContextCovariance | StatisticKinds.ContextCovarianceSignedMax | StatisticKinds.ContextCovarianceUnscaled;

    private const StatisticKinds AnyGradient = StatisticKinds.Fisher | StatisticKinds.FisherDiagonal;

    private const StatisticKinds AnyInput = AnySum | StatisticKinds.AccessCounts;

    private readonly IModelPipeline pipeline;
    private readonly nn.Module model;
    private readonly IReadOnlyDictionary<string, StatisticKinds> needs;
    private readonly Dictionary<string, InputSums> inputs = [];
    private readonly Dictionary<string, FisherAccumulator> fisher = [];
    private readonly Dictionary<string, AccessCounter> accesses = [];
    private readonly Dictionary<string, Tensor> leaders = [];
    private readonly long seed;
    private readonly SourceSpan span;
    private readonly bool share;
    private string? latestLeader;
    private bool sharingBroken;

    private StatisticsCollector(IModelPipeline pipeline, nn.Module model, IReadOnlyDictionary<string, StatisticKinds> needs, long seed, SourceSpan span, bool share)
    {
        this.pipeline = pipeline;
        this.model = model;
        this.needs = needs;
        this.seed = seed;
        this.span = span;
        this.share = share;
    }

    /// <summary>Collects statistics; the tensors in the result belong to the caller's dispose scope.</summary>
    /// <param name="pipeline">The pipeline that runs the model.</param>
    /// <param name="model">The model, with its original weights.</param>
    /// <param name="needs">What each layer's steps ask for, by path.</param>
    /// <param name="batches">Opens the calibration batches; asked for again for gradients.</param>
    /// <param name="seed">Decides which input vectors are kept where samples are asked for.</param>
    /// <param name="span">Where the recipe names the data, for messages.</param>
    /// <param name="cancellation">Stops between batches.</param>
    /// <exception cref="PipelineException">PDSL3006: a layer was never called. PDSL3005: the data that reaches a layer cannot be summed.</exception>
    public static IReadOnlyDictionary<string, LayerStatistics> Collect(
        IModelPipeline pipeline,
        nn.Module model,
        IReadOnlyDictionary<string, StatisticKinds> needs,
        Func<IEnumerable<Batch>> batches,
        long seed,
        SourceSpan span,
        CancellationToken cancellation)
    {
        model.eval();
        using var sharing = new StatisticsCollector(pipeline, model, needs, seed, span, share: true);
        sharing.CollectInputs(batches(), cancellation);
        if (!sharing.sharingBroken)
        {
            sharing.CollectFisher(batches(), cancellation);
            return sharing.Result();
        }

        using var separate = new StatisticsCollector(pipeline, model, needs, seed, span, share: false);
        separate.CollectInputs(batches(), cancellation);
        separate.CollectFisher(batches(), cancellation);
        return separate.Result();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var sums in inputs.Values)
        {
            sums.Dispose();
        }

        foreach (var sums in fisher.Values)
        {
            sums.Dispose();
        }

        foreach (var counter in accesses.Values)
        {
            counter.Dispose();
        }
    }

    private IEnumerable<ModelLayer> LayersThatNeed(StatisticKinds kinds) =>
        ModelLayer.Find(model).Where(layer => needs.TryGetValue(layer.Path, out var need) && (need & kinds) != 0);

    private void CollectInputs(IEnumerable<Batch> batches, CancellationToken cancellation)
    {
        var layers = LayersThatNeed(AnyInput).ToList();
        if (layers.Count == 0)
        {
            return;
        }

        var hooks = layers.Select(layer => ((nn.Module<Tensor, Tensor>)layer.Module).register_forward_pre_hook(Named(layer, ObserverOf(layer)))).ToList();
        try
        {
            using var noGradients = no_grad();
            foreach (var batch in batches)
            {
                using (batch)
                {
                    cancellation.ThrowIfCancellationRequested();
                    FinalizerGate.Drain();
                    using var scope = NewDisposeScope();
                    pipeline.Run(model, batch);
                    ForgetBatch();
                }
            }
        }
        finally
        {
            hooks.ForEach(hook => hook.remove());
            ForgetBatch();
        }
    }

    /// <summary>What an accumulator refuses is wrong with the data that reaches this layer.</summary>
    private Func<nn.Module<Tensor, Tensor>, Tensor, Tensor> Named(ModelLayer layer, Func<nn.Module<Tensor, Tensor>, Tensor, Tensor> observer) => (module, x) =>
    {
        try
        {
            return observer(module, x);
        }
        catch (InvalidOperationException failure)
        {
            throw new PipelineException(DiagnosticIds.BrokenData, $"layer '{layer.Path}' cannot be calibrated: {failure.Message}; check the calibration data", span, failure);
        }
    };

    private Func<nn.Module<Tensor, Tensor>, Tensor, Tensor> ObserverOf(ModelLayer layer) => layer.Module switch
    {
        Embedding => (_, ids) => Count(layer, ids),
        Conv2d convolution => (_, x) => AddPatches(layer, ConvolutionGeometry.Of(convolution), x),
        _ => (_, x) => Observe(layer, x),
    };

    private Tensor Count(ModelLayer layer, Tensor ids)
    {
        if (!accesses.TryGetValue(layer.Path, out var counter))
        {
            accesses[layer.Path] = counter = new AccessCounter(layer.Shape!.Rows);
        }

        counter.Add(ids);
        return ids;
    }

    /// <summary>Sample by sample: the patches of an image take many times its memory. Two convolutions rarely share theirs.</summary>
    private Tensor AddPatches(ModelLayer layer, ConvolutionGeometry geometry, Tensor x)
    {
        if (!inputs.TryGetValue(layer.Path, out var sums))
        {
            inputs[layer.Path] = sums = new InputSums(layer.Path, needs[layer.Path], layer.Shape!.Columns, seed);
        }

        using var scope = NewDisposeScope();
        foreach (var sample in x.dim() == 3 ? [x] : x.split(1))
        {
            using var patches = geometry.Patches(sample);
            sums.Add(patches);
        }

        return x;
    }

    private Tensor Observe(ModelLayer layer, Tensor x)
    {
        if (!inputs.TryGetValue(layer.Path, out var sums))
        {
            inputs[layer.Path] = sums = SumsFor(layer, x);
        }

        if (sums.Leader != layer.Path)
        {
            sharingBroken |= !SameInput(sums.Leader, x);
            return x;
        }

        sums.Add(x);
        latestLeader = layer.Path;
        if (leaders.Remove(layer.Path, out var before))
        {
            before.Dispose();
        }

        leaders[layer.Path] = x.alias().DetachFromDisposeScope();
        return x;
    }

    /// <summary>Queries, keys and values read the tensor that was seen last; so do gate and up.</summary>
    private InputSums SumsFor(ModelLayer layer, Tensor x)
    {
        bool shared = share && latestLeader is not null && inputs[latestLeader].Kinds == needs[layer.Path] && SameInput(latestLeader, x);
        return shared ? inputs[latestLeader!] : new InputSums(layer.Path, needs[layer.Path], x.shape[^1], seed);
    }

    private bool SameInput(string leader, Tensor x) =>
        leaders.TryGetValue(leader, out var seen) && (seen.Handle == x.Handle || (seen.shape.SequenceEqual(x.shape) && seen.eq(x).all().item<bool>()));

    private void ForgetBatch()
    {
        foreach (var seen in leaders.Values)
        {
            seen.Dispose();
        }

        leaders.Clear();
        latestLeader = null;
    }

    private void CollectFisher(IEnumerable<Batch> batches, CancellationToken cancellation)
    {
        var layers = LayersThatNeed(AnyGradient).ToList();
        if (layers.Count == 0)
        {
            return;
        }

        foreach (var parameter in model.parameters())
        {
            parameter.requires_grad = false;
        }

        layers.ForEach(layer => layer.Weight.requires_grad = true);
        foreach (var batch in batches)
        {
            using (batch)
            {
                for (long i = 0; i < batch.Input.shape[0]; i++)
                {
                    cancellation.ThrowIfCancellationRequested();
                    FinalizerGate.Drain();
                    AddGradients(layers, batch, i);
                }
            }
        }

        layers.ForEach(layer => layer.Weight.requires_grad = false);
    }

    /// <summary>One backward pass per sample: the square of a mean gradient is not the mean of squared gradients.</summary>
    private void AddGradients(List<ModelLayer> layers, Batch batch, long sample)
    {
        using var scope = NewDisposeScope();
        var single = new Batch(batch.Input.narrow(0, sample, 1), batch.Target?.narrow(0, sample, 1));
        pipeline.Loss(model, single).backward();
        foreach (var layer in layers)
        {
            if (layer.Weight.grad is not { } gradient)
            {
                continue;
            }

            if (!fisher.TryGetValue(layer.Path, out var sums))
            {
                fisher[layer.Path] = sums = new FisherAccumulator(layer.Shape!.Rows, layer.Shape.Columns, needs[layer.Path].HasFlag(StatisticKinds.FisherDiagonal));
            }

            sums.Add(gradient.flatten(1));
            gradient.zero_();
        }
    }

    private Dictionary<string, LayerStatistics> Result()
    {
        var result = new Dictionary<string, LayerStatistics>(StringComparer.Ordinal);
        foreach (var (path, need) in needs.Where(need => need.Value != StatisticKinds.None))
        {
            bool reached = ((need & AnySum) == 0 || inputs.ContainsKey(path)) &&
                ((need & StatisticKinds.AccessCounts) == 0 || accesses.ContainsKey(path)) &&
                ((need & AnyGradient) == 0 || fisher.ContainsKey(path));
            if (!reached)
            {
                throw new PipelineException(DiagnosticIds.LayerNotReached, $"calibration never reached '{path}': the model does not use it, or calls 'forward' on it where hooks need 'call'", span);
            }

            result[path] = new LayerStatistics
            {
                InputMoments = inputs.GetValueOrDefault(path)?.Moments,
                InputMagnitudes = inputs.GetValueOrDefault(path)?.Magnitudes,
                Covariances = inputs.GetValueOrDefault(path)?.Covariances ?? new Dictionary<StatisticKinds, Tensor>(),
                InputNorms = inputs.GetValueOrDefault(path)?.Norms,
                InputSamples = inputs.GetValueOrDefault(path)?.Samples,
                Fisher = need.HasFlag(StatisticKinds.Fisher) && fisher[path] is var sums ? new(sums.Count, sums.Rows(), sums.Columns()) : null,
                FisherDiagonal = fisher.GetValueOrDefault(path)?.Diagonal?.alias(),
                AccessCounts = accesses.GetValueOrDefault(path)?.Counts.alias(),
            };
        }

        return result;
    }
}
