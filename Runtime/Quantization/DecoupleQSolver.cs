using System.Globalization;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Optimization;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Puts every dense matrix of a weight on a grid of codes, scales and offsets by decoupleQ (arXiv:2404.12759); its second stage, on request, trains scales and offsets.</summary>
/// <remarks>
/// Facts: those of <see cref="NearestChoice"/>; <c>bitsPerWeight</c>, scales and offsets included; <c>loss00</c>, <c>loss01</c>, …: the damped loss at the start, after the first rounding, and after each half of each
/// alternation, and <c>lossStored</c>, that of what is stored; summed over the matrices of a weight.
/// </remarks>
public sealed class DecoupleQSolver : ReconstructingSolver<DecoupleQ>
{
    /// <inheritdoc/>
    public override int Version => 2;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, DecoupleQ step)
    {
        using var scope = NewDisposeScope();
        var moments = problem.Statistics.InputMoments ?? throw new InvalidOperationException("no input moments were collected for the layer");
        var traces = new List<List<double>>();
        var notes = new List<string>();
        var weight = InputAware.Rewrite(problem.Weight, moments.Gram, (dense, gram) => Quantize(dense, gram / Math.Max(1, moments.Count), step, traces, notes));
        var nearest = problem.Weight.RewriteDense(dense => RoundToNearest.Store(dense.Matrix, step));
        var facts = new Dictionary<string, double>
        {
            ["bitsPerWeight"] = 8.0 * weight.Bytes / (weight.Rows * weight.Columns),
            ["lossStored"] = traces.Sum(trace => trace[^1]),
        };
        for (int i = 0; i < traces.Select(trace => trace.Count).DefaultIfEmpty(1).Max() - 1; i++)
        {
            // A matrix that came to its end earlier stays where it was.
            facts[string.Create(CultureInfo.InvariantCulture, $"loss{i:00}")] = traces.Sum(trace => trace[Math.Min(i, trace.Count - 2)]);
        }

        return NearestChoice.Of(problem, weight, nearest, moments.Gram, facts, notes);
    }

    /// <inheritdoc/>
    protected override ReconstructionSettings? SettingsOf(DecoupleQ step) => step.Tune == DecoupleTuning.None ? null : new()
    {
        Scope = step.Tune == DecoupleTuning.Block ? ReconstructionScope.Block : ReconstructionScope.Layer,
        Teacher = TeacherInputs.Compressed,
        Steps = step.TuneSteps,
        BatchSize = step.TuneBatchSize,
        Schedule = RateSchedule.Constant,
    };

    /// <inheritdoc/>
    protected override TrainableWeight Start(LayerProblem problem, DecoupleQ step, LayerSolution start)
    {
        var bias = step.TuneBias ? problem.Bias ?? zeros(problem.Shape.Rows) : null;
        return new TunedGrids(problem.Weight, start.Weight, bias, new Adam(step.TuneRate) { Beta2 = 0.99, Epsilon = 2e-5, WeightDecay = 1e-6 });
    }

    private static Grid Quantize(Dense dense, Tensor metric, DecoupleQ step, List<List<double>> traces, List<string> notes)
    {
        using var scope = NewDisposeScope();
        if (metric.diagonal().max().item<double>() <= 0)
        {
            notes.Add("the calibration inputs are all zero, so all errors count alike");
            metric = eye(dense.Columns, dtype: float64);
        }

        var geometry = new GridGeometry(dense.Rows, dense.Columns, step.Bits, Signed: true, step.Granularity, step.GroupSize);
        var matrix = new DecoupledMatrix(dense.Matrix, DecoupledMatrix.Damp(metric, step.Damping), geometry, step.Symmetric);
        var decoupling = new Decoupling(matrix, step);
        var found = decoupling.Run();
        var type = Dtypes.Of(step.ScaleType);
        var stored = decoupling.Store(found, type);
        traces.Add([.. decoupling.Trace.Append(stored.Losses).Select(losses => losses.sum().item<double>())]);
        return Grid.Pack(geometry, stored.Codes, stored.Scales.to(type, copy: true), step.Symmetric ? null : stored.Offsets.to(type, copy: true));
    }
}
