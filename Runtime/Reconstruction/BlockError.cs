using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>The mean squared error of a block's outputs against those of the original block; a step sees one sample of the training part, each once an epoch.</summary>
internal sealed class BlockError : IReconstructionObjective, IDisposable
{
    private readonly ModuleCalls block;
    private readonly IReadOnlyList<StudentLayer> layers;
    private readonly List<BlockSample> training = [];
    private readonly List<BlockSample> heldOut = [];
    private readonly Generator generator;
    private long[] order = [];

    /// <summary>The error of a block.</summary>
    /// <param name="block">The block.</param>
    /// <param name="layers">Its trained layers, in the order of states.</param>
    /// <param name="samples">Its calls; they become this object's.</param>
    /// <param name="share">The share of them that is held out, evenly spread.</param>
    /// <param name="seed">Decides the order of samples.</param>
    public BlockError(ModuleCalls block, IReadOnlyList<StudentLayer> layers, IReadOnlyList<BlockSample> samples, double share, long seed)
    {
        this.block = block;
        this.layers = layers;
        generator = new Generator((ulong)seed);
        for (int i = 0; i < samples.Count; i++)
        {
            // One sample is always left to train on.
            bool held = Math.Floor((i + 1) * share) > Math.Floor(i * share) && i < samples.Count - (training.Count == 0 ? 1 : 0);
            (held ? heldOut : training).Add(samples[i]);
        }
    }

    /// <summary>Samples that are trained on.</summary>
    public int TrainingCount => training.Count;

    public (double Loss, IReadOnlyList<LayerState> Gradients) Differentiate(int step, IReadOnlyList<LayerState> states)
    {
        Put(states);
        using var gradients = enable_grad();
        var sample = training[Index(step)];
        var (sum, count) = ErrorOf(sample);
        var loss = sum / count;
        double value = loss.to(float64).item<double>();
        if (loss.requires_grad && double.IsFinite(value))
        {
            loss.backward();
        }

        return (value, [.. layers.Select(layer => layer.Gradients())]);
    }

    public double Measure(IReadOnlyList<LayerState> states)
    {
        Put(states);
        return Mean(training);
    }

    /// <summary>The loss on the held-out samples, or null where there are none.</summary>
    public double? MeasureHeldOut(IReadOnlyList<LayerState> states)
    {
        if (heldOut.Count == 0)
        {
            return null;
        }

        Put(states);
        return Mean(heldOut);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        training.ForEach(sample => sample.Dispose());
        heldOut.ForEach(sample => sample.Dispose());
        generator.Dispose();
    }

    private int Index(int step)
    {
        int place = step % training.Count;
        if (place == 0)
        {
            using var shuffled = randperm(training.Count, dtype: int64, generator: generator);
            order = shuffled.data<long>().ToArray();
        }

        return (int)order[place];
    }

    private double Mean(List<BlockSample> samples)
    {
        using var noGradients = no_grad();
        double total = 0;
        long values = 0;
        foreach (var sample in samples)
        {
            using var scope = NewDisposeScope();
            var (sum, count) = ErrorOf(sample);
            total += sum.to(float64).item<double>();
            values += count;
        }

        return total / values;
    }

    /// <summary>Arguments are copied, for the user's code may change or dispose what it is given.</summary>
    private (Tensor Sum, long Count) ErrorOf(BlockSample sample) => sample.SquaredError(block.Call([.. sample.Arguments.Select(CallValues.Copy)]));

    private void Put(IReadOnlyList<LayerState> states)
    {
        foreach (var (layer, state) in layers.Zip(states))
        {
            layer.Put(state);
        }
    }
}
