using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests;

/// <summary>Random layers with everything calibration can learn about them.</summary>
internal static class LayerProblems
{
    /// <summary>Inputs [samples, tokens, columns] float64 with a mean and unequal channels.</summary>
    public static Tensor Inputs(long columns, long tokens = 20)
    {
        using var scope = NewDisposeScope();
        var scales = linspace(0.2, 3, columns, dtype: float64);
        return ((randn(4, tokens, columns, dtype: float64, generator: new Generator(2)) + 0.7) * scales).MoveToOuterDisposeScope();
    }

    public static LayerProblem Make(long rows, long columns, Tensor inputs, ScalarType dtype = ScalarType.Float32, Tensor? bias = null) =>
        new("fc", new Dense(Weight(rows, columns).to(dtype)), bias, Collect(rows, inputs), 0);

    public static Tensor Weight(long rows, long columns) => randn(rows, columns, dtype: float64, generator: new Generator(1));

    public static LayerStatistics Collect(long rows, Tensor inputs)
    {
        long columns = inputs.shape[^1];
        var moments = new InputAccumulator(columns);
        moments.Add(inputs);
        var magnitudes = new ActivationScale(columns);
        for (long sample = 0; sample < inputs.shape[0]; sample++)
        {
            magnitudes.Add(inputs[sample]);
        }

        var covariances = new Dictionary<StatisticKinds, Tensor>();
        foreach (var kind in new[] { StatisticKinds.ContextCovariance, StatisticKinds.ContextCovarianceSignedMax, StatisticKinds.ContextCovarianceUnscaled })
        {
            using var covariance = new CovarianceAccumulator(columns, kind);
            for (long sample = 0; sample < inputs.shape[0]; sample++)
            {
                covariance.Add(inputs[sample]);
            }

            covariances[kind] = covariance.Mean();
        }

        using var norms = new InputNormAccumulator(columns);
        norms.Add(inputs);
        using var samples = new InputReservoir(columns, seed: 0);
        samples.Add(inputs);
        using var fisher = new FisherAccumulator(rows, columns);
        fisher.Add(randn(rows, columns, dtype: float64, generator: new Generator(3)) * inputs.reshape(-1, columns).abs().mean([0]));
        return new()
        {
            InputMoments = new(moments.Count, moments.Sum, moments.Gram),
            InputMagnitudes = new(magnitudes.MeanMagnitudes, magnitudes.LargestMagnitudes),
            Covariances = covariances,
            InputNorms = norms.Mean(),
            InputSamples = samples.Sample(),
            Fisher = new(fisher.Count, fisher.Rows(), fisher.Columns()),
        };
    }

    public static LayerStatistics Silent(long rows, long columns)
    {
        var silent = zeros(2, 3, columns, dtype: float64);
        var statistics = Collect(rows, silent);
        return new()
        {
            InputMoments = statistics.InputMoments,
            InputMagnitudes = statistics.InputMagnitudes,
            Covariances = statistics.Covariances,
            InputNorms = statistics.InputNorms,
            InputSamples = statistics.InputSamples,
            Fisher = new(1, zeros(rows, dtype: float64), zeros(columns, dtype: float64)),
        };
    }

    public static void Release(this LayerSolution solution)
    {
        solution.Weight.Dispose();
        solution.Bias?.Dispose();
    }
}
