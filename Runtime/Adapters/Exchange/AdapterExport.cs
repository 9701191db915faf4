using System.Text.RegularExpressions;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats.Peft;
using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters.Exchange;

/// <summary>Writes trained adapters as a folder that PEFT reads.</summary>
/// <remarks>
/// Where all layers are <see cref="Bone"/> or all are <see cref="Bat"/> of one size, the folder is of type MISS. Otherwise it is of type LORA: a LoRA as it is; one that split the weight, for the
/// original weight, with twice the rank; any other method exactly where its change is of low rank, and else the nearest change of a stated rank. With DoRA among the layers, the others get the magnitudes that their
/// weights have anyway.
/// </remarks>
internal static class AdapterExport
{
    /// <summary>Writes the folder.</summary>
    /// <param name="folder">The folder, which is made.</param>
    /// <param name="layers">The trained layers, by path; at least one.</param>
    /// <param name="settings">What may be chosen.</param>
    /// <returns>How each layer was written, by path.</returns>
    /// <exception cref="PipelineException">PDSL3016: a value is not finite. PDSL3012: a file cannot be written.</exception>
    public static IReadOnlyList<ExportedLayer> Write(string folder, IReadOnlyDictionary<string, TrainedLayer> layers, AdapterExportSettings settings)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var ordered = new SortedDictionary<string, TrainedLayer>(layers.ToDictionary(), StringComparer.Ordinal);
        var (adapter, exact) = Blocks(ordered, settings) ?? Factors(ordered, settings, folder);
        PeftFolder.Write(folder, adapter);
        if (settings.Model is { } model && ordered.Values.All(layer => layer.BaseDigest is not null))
        {
            new BaseBinding(model, ordered.ToDictionary(layer => layer.Key, layer => layer.Value.BaseDigest!)).Write(folder);
        }

        return [.. ordered.Select(layer => Compare(layer.Key, layer.Value, adapter, exact.Contains(layer.Key)))];
    }

    /// <summary>All layers as blocks of one size, or null.</summary>
    private static (PeftAdapter, IReadOnlySet<string>)? Blocks(SortedDictionary<string, TrainedLayer> layers, AdapterExportSettings settings)
    {
        var blocks = layers.ToDictionary(layer => layer.Key, layer => layer.Value.Adapter is BoneAdapter or BatAdapter ? layer.Value.Adapter.Parameters[0].Value.detach() : null);
        var adapters = layers.Values.Select(layer => layer.Adapter).ToList();
        bool isBat = adapters[0] is BatAdapter;
        bool isMini = adapters.Exists(adapter => adapter is BoneAdapter { IsMini: true });
        bool alike = adapters.TrueForAll(adapter => isBat ? adapter is BatAdapter : adapter is BoneAdapter bone && bone.IsMini == isMini);
        if (!alike || blocks.Values.Select(block => (block!.shape[isBat ? 1 : 0], isMini ? block.shape[1] : 0)).Distinct().Count() > 1)
        {
            return null;
        }

        var first = blocks.Values.First()!;
        var config = new PeftConfig
        {
            Type = PeftType.Miss,
            Rank = (int)first.shape[isBat ? 1 : 0],
            MiniRank = isMini ? (int)first.shape[1] : 1,
            Initialization = isBat ? PeftConfig.BatInitialization : isMini ? PeftConfig.MiniInitialization : PeftConfig.DefaultInitialization,
            Targets = Targets(layers.Keys, settings.Modules),
            BaseModel = settings.BaseModel,
            TaskType = settings.TaskType,
        };
        return (new(config, blocks.ToDictionary(block => block.Key, block => (PeftTensors)new MissTensors(block.Value!)), new Dictionary<string, Tensor>()), layers.Keys.ToHashSet(StringComparer.Ordinal));
    }

    private static (PeftAdapter, IReadOnlySet<string>) Factors(SortedDictionary<string, TrainedLayer> layers, AdapterExportSettings settings, string folder)
    {
        bool hasMagnitudes = layers.Values.Any(layer => layer.Adapter is LoraAdapter { Magnitude: not null });
        bool isStabilized = layers.Values.All(layer => layer.Adapter is LoraAdapter { Step.RankStabilized: true });
        var exact = new HashSet<string>(StringComparer.Ordinal);
        var modules = new Dictionary<string, PeftTensors>(StringComparer.Ordinal);
        var numbers = new List<(string Path, int Rank, double Alpha)>();
        foreach (var (path, layer) in layers)
        {
            var (change, isExact) = ChangeOf(path, layer, settings.FallbackRank, folder);
            if (isExact)
            {
                exact.Add(path);
            }

            int rank = (int)change.A.shape[0];
            numbers.Add((path, rank, change.Scaling * (isStabilized ? Math.Sqrt(rank) : rank)));
            var type = change.A.dtype;
            var magnitude = !hasMagnitudes ? null : (layer.Adapter as LoraAdapter)?.Magnitude?.detach() ?? Norms(layer, change);
            long[] kernel = [.. Enumerable.Repeat(1L, Math.Max(0, (int)change.A.dim() - 2))];
            modules[path] = new LoraTensors(
                change.A.detach().contiguous(),
                change.B.detach().reshape([.. change.B.shape, .. kernel]).contiguous(),
                magnitude?.to(type).reshape(kernel.Length == 0 ? [-1] : [1, -1, .. kernel]).contiguous(),
                layer.Adapter.Operation == LayerOperation.Lookup);
        }

        var (_, usualRank, usualAlpha) = numbers.GroupBy(item => (item.Rank, item.Alpha)).OrderByDescending(group => group.Count()).First().First();
        double[] dropouts = [.. layers.Values.Select(layer => (layer.Adapter as LoraAdapter)?.Step.Dropout ?? 0).Distinct()];
        var config = new PeftConfig
        {
            Type = PeftType.Lora,
            Rank = usualRank,
            Alpha = usualAlpha,
            UseRsLora = isStabilized,
            UseDora = hasMagnitudes,
            Dropout = dropouts.Length == 1 ? dropouts[0] : 0,
            RankPattern = [.. numbers.Where(item => item.Rank != usualRank).Select(item => (Anchored(item.Path), item.Rank))],
            AlphaPattern = [.. numbers.Where(item => item.Alpha != usualAlpha).Select(item => (Anchored(item.Path), item.Alpha))],
            Targets = Targets(layers.Keys, settings.Modules),
            BaseModel = settings.BaseModel,
            TaskType = settings.TaskType,
        };
        return (new(config, modules, new Dictionary<string, Tensor>()), exact);
    }

    /// <summary>A layer's change as thin factors, before magnitudes.</summary>
    private static (LowRankDelta Change, bool IsExact) ChangeOf(string path, TrainedLayer layer, int fallbackRank, string folder)
    {
        if (layer.Adapter is LoraAdapter lora)
        {
            return (lora.ChangeOfOriginal(), true);
        }

        if (layer.Adapter.AsLowRank() is { } delta)
        {
            return (delta, true);
        }

        var operation = layer.Adapter.Operation;
        var change = operation.Matrix(Merged(path, layer, folder) - layer.Before.to(float64));
        int rank = (int)Math.Min(fallbackRank, Math.Min(change.shape[0], change.shape[1]));
        var factors = Projection.Leading(change, change, rank, SvdAccuracy.Tight, seed: 0).Factors(Slice.Top, rank);
        long[] shape = operation is ConvolutionOperation ? [rank, .. layer.Before.shape[1..]] : [rank, -1];
        var type = layer.Adapter.Parameters[0].Value.dtype;
        return (new(factors.A.to(type).reshape(shape), factors.B.to(type), 1), false);
    }

    private static Tensor Merged(string path, TrainedLayer layer, string folder)
    {
        try
        {
            return layer.Adapter.Merge().to(float64);
        }
        catch (InvalidOperationException failure)
        {
            throw new PipelineException(DiagnosticIds.NotExportable, $"the adapter of '{path}' cannot be written: {failure.Message}", folder, failure);
        }
    }

    /// <summary>The norms that the units of the changed weight have.</summary>
    private static Tensor Norms(TrainedLayer layer, LowRankDelta change) =>
        Sum(layer, change).square().sum(dim: 1L).sqrt();

    /// <summary>The weight before training and the change, as a matrix [units, inputs] float64.</summary>
    private static Tensor Sum(TrainedLayer layer, LowRankDelta change) =>
        layer.Adapter.Operation.Matrix(layer.Before.to(float64)) + change.B.to(float64).flatten(1).mm(change.A.to(float64).flatten(1)).mul(change.Scaling);

    /// <summary>Compares what was written with what was trained.</summary>
    private static ExportedLayer Compare(string path, TrainedLayer layer, PeftAdapter adapter, bool isExact)
    {
        using var scope = NewDisposeScope();
        var operation = layer.Adapter.Operation;
        var trained = operation.Matrix(layer.Adapter.Merge().to(float64));
        double learned = (trained - operation.Matrix(layer.Before.to(float64))).norm().item<double>();
        if (adapter.Modules[path] is not LoraTensors lora)
        {
            return new(path, adapter.Config.Rank, isExact, 0);
        }

        var written = Sum(layer, new(lora.A, lora.B, adapter.Config.ScalingOf(path)));
        if (lora.Magnitude is { } magnitude)
        {
            written = written.mul((magnitude.to(float64).reshape(-1) / written.square().sum(dim: 1L).sqrt()).unsqueeze(1));
        }

        return new(path, adapter.Config.RankOf(path), isExact, learned == 0 ? 0 : (written - trained).norm().item<double>() / learned);
    }

    /// <summary>The adapted modules by their names, or by one expression where a name would hit another module too.</summary>
    private static PeftTargets Targets(IEnumerable<string> paths, IReadOnlyCollection<string> modules)
    {
        string[] adapted = [.. paths];
        return modules.Except(adapted, StringComparer.Ordinal).Any(PeftTargets.Named(adapted).Contains)
            ? PeftTargets.Matching(string.Join('|', adapted.Select(Regex.Escape)))
            : PeftTargets.Named(adapted);
    }

    private static string Anchored(string path) => "^" + Regex.Escape(path);
}
