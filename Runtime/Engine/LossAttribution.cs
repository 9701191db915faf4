using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Native;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Splits what the model's loss gains with all layers compressed at once into what each layer contributes.</summary>
/// <remarks>
/// Aumann–Shapley values (integrated gradients, arXiv:1703.01365) along the straight way from the original weights W to the compressed W + Δ:
/// layer l gets ∫₀¹ ⟨∂L/∂W_l at W + tΔ, Δ_l⟩ dt, and the values add up to L(W + Δ) − L(W). Unlike the loss of each layer alone they know what the
/// other layers do at this point, and they cost a few backward passes whatever the number of layers.
/// </remarks>
internal sealed class LossAttribution(IModelPipeline pipeline, PreparedRun run, ContentStore store, RunOptions options)
{
    /// <summary>Gauss–Legendre nodes on [0, 1], of equal weight; exact for polynomials up to degree 3.</summary>
    private static readonly double[] Nodes = [0.5 - Math.Sqrt(1 / 12.0), 0.5 + Math.Sqrt(1 / 12.0)];

    /// <summary>Losses (tokens, or samples) that are enough: a layer's part is a sum over all its weights, which settles sooner than the loss does.</summary>
    private const int EnoughLosses = 4096;

    /// <summary>The part of the loss increase that each layer has.</summary>
    /// <param name="layers">The compressed layers.</param>
    /// <param name="cancellation">Stops between batches.</param>
    public LossParts Of(TrialLayers layers, CancellationToken cancellation)
    {
        var calibrate = run.Recipe.Calibrate!;
        var key = run.ModelKey("loss parts", RecipeFiles.Calibration, options).Add("samples", calibrate.Samples).Add("losses", EnoughLosses).Add("length", calibrate.SequenceLength);
        foreach (var (path, layer) in layers.Names)
        {
            key.Add("path", path).Add("layer", layer);
        }

        var numbers = store.Numbers(key.ToString(), () => UserCode.Call(run.Recipe, "attributing the calibration loss failed", () =>
            Integrate(layers.Layers, Data(calibrate), cancellation)));
        return new([.. numbers.Take(numbers.Count / 2)], [.. numbers.Skip(numbers.Count / 2)]);
    }

    private DataSource Data(Calibration calibrate)
    {
        var data = run.OpenData(RecipeFiles.Calibration, calibrate.Samples, calibrate.SequenceLength);
        using var first = pipeline.CalibrationBatches(data).First();
        int samples = (int)Math.Max(1, EnoughLosses * first.Input.shape[0] / Math.Max(1, first.LossCount));
        return calibrate.Samples > 0 && calibrate.Samples <= samples ? data : run.OpenData(RecipeFiles.Calibration, samples, calibrate.SequenceLength);
    }

    private double[] Integrate(IReadOnlyList<SolvedUnit> layers, DataSource data, CancellationToken cancellation)
    {
        using var thread = new ThreadCount(1);
        using var scope = NewDisposeScope();
        run.Model.to(options.TensorDevice);
        var installed = layers.Select(layer => Install(layer)).ToList();
        var learning = run.Model.parameters().Where(parameter => parameter.requires_grad).ToList();
        learning.ForEach(parameter => parameter.requires_grad = false);
        try
        {
            var ways = installed.Select(weight => weight.Places.Select(place => new Way(place.Current, place.Original)).ToList()).ToList();
            double[] values = new double[2 * layers.Count];
            foreach (double node in Nodes)
            {
                ways.ForEach(layer => layer.ForEach(way => way.Move(node)));
                long count = AddGradients(data, cancellation);
                for (int i = 0; i < layers.Count; i++)
                {
                    double slope = ways[i].Sum(way => way.Slope()) / count;
                    values[i] += slope / Nodes.Length;
                    values[layers.Count + i] += slope / 2 / (node - Nodes[node == Nodes[0] ? 1 : 0]);
                }
            }

            ways.ForEach(layer => layer.ForEach(way => way.End()));
            return values;
        }
        finally
        {
            installed.ForEach(weight => weight.Dispose());
            learning.ForEach(parameter => parameter.requires_grad = true);
            run.Model.to(CPU);
        }
    }

    private static TemporaryWeight Install(SolvedUnit layer)
    {
        using var weight = new Dense(layer.Result.Weight.Materialize());
        return new(layer.Unit.Layer, weight, layer.Result.Bias);
    }

    /// <summary>Leaves the gradient of the summed loss in the parameters that ask for it.</summary>
    /// <returns>Of how many losses it is the sum.</returns>
    private long AddGradients(DataSource data, CancellationToken cancellation)
    {
        long total = 0;
        foreach (var batch in pipeline.CalibrationBatches(data).Select(batch => batch.To(options.TensorDevice)))
        {
            cancellation.ThrowIfCancellationRequested();
            FinalizerGate.Drain();
            using (batch)
            using (NewDisposeScope())
            {
                long count = batch.LossCount;
                total += count;
                if (count > 0)
                {
                    (pipeline.Loss(run.Model, batch) * count).backward();
                }
            }
        }

        return Math.Max(1, total);
    }

    /// <summary>A tensor of the model on its way from what it was (nothing: zero) to what it becomes.</summary>
    private sealed class Way
    {
        private readonly Tensor current;
        private readonly Tensor start;
        private readonly Tensor change;

        public Way(Tensor current, Tensor? original)
        {
            using var noGradients = no_grad();
            this.current = current;
            start = original ?? zeros_like(current);
            change = current.detach() - start;
            current.requires_grad = true;
        }

        public void Move(double share)
        {
            using var noGradients = no_grad();
            current.copy_(start + (change * share));
            current.grad?.zero_();
        }

        /// <summary>⟨gradient, change⟩.</summary>
        public double Slope()
        {
            using var scope = NewDisposeScope();
            return current.grad is { } gradient ? (gradient.to(float64) * change.to(float64)).sum().item<double>() : 0;
        }

        public void End()
        {
            current.requires_grad = false;
            current.grad = null;
        }
    }
}

/// <summary>What layers contribute to an increase of the loss.</summary>
/// <param name="Values">The part of each; they add up.</param>
/// <param name="Curved">What of it bends the loss, L(t) = L + a t + c t²: c. The rest, a, is the gradient of the original model on the data at hand, which another error of the same size meets with another sign.</param>
internal sealed record LossParts(IReadOnlyList<double> Values, IReadOnlyList<double> Curved);
