using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Statistics;

/// <summary>The sums over one distinct input, shared by every layer that reads it.</summary>
/// <param name="leader">The path of the layer whose hook adds to the sums.</param>
/// <param name="kinds">What is summed.</param>
/// <param name="columns">The width of the input.</param>
/// <param name="seed">Decides which input vectors are kept.</param>
internal sealed class InputSums(string leader, StatisticKinds kinds, long columns, long seed) : IDisposable
{
    private readonly InputAccumulator? moments = kinds.HasFlag(StatisticKinds.InputMoments) ? new(columns) : null;

    private readonly InputNormAccumulator? norms = kinds.HasFlag(StatisticKinds.InputNorms) ? new(columns) : null;

    private readonly ActivationScale? magnitudes = kinds.HasFlag(StatisticKinds.InputMagnitudes) ? new(columns) : null;

    private readonly InputReservoir? samples = kinds.HasFlag(StatisticKinds.InputSamples) ? new(columns, seed) : null;

    private readonly Dictionary<StatisticKinds, CovarianceAccumulator> covariances = new[]
    {
        StatisticKinds.ContextCovariance, StatisticKinds.ContextCovarianceSignedMax, StatisticKinds.ContextCovarianceUnscaled,
    }.Where(kind => kinds.HasFlag(kind)).ToDictionary(kind => kind, kind => new CovarianceAccumulator(columns, kind));

    /// <summary>The path of the layer whose hook adds to the sums.</summary>
    public string Leader { get; } = leader;

    /// <summary>What is summed.</summary>
    public StatisticKinds Kinds { get; } = kinds;

    /// <summary>The moments, or null when not asked for; the caller owns the tensors.</summary>
    public InputMoments? Moments => moments is null ? null : new(moments.Count, moments.Sum.alias(), moments.Gram.alias());

    /// <summary>The mean norms, or null when not asked for; the caller owns the tensor.</summary>
    public Tensor? Norms => norms?.Mean();

    /// <summary>The magnitudes, or null when not asked for; the caller owns the tensors.</summary>
    public InputMagnitudes? Magnitudes => magnitudes is null ? null : new(magnitudes.MeanMagnitudes.alias(), magnitudes.LargestMagnitudes.alias());

    /// <summary>The sampled input vectors, or null when not asked for; the caller owns the tensor.</summary>
    public Tensor? Samples => samples?.Sample();

    /// <summary>The covariances asked for; the caller owns the tensors.</summary>
    public IReadOnlyDictionary<StatisticKinds, Tensor> Covariances => covariances.ToDictionary(item => item.Key, item => item.Value.Mean());

    /// <summary>Adds an input [samples, …, columns]; the first axis counts samples.</summary>
    public void Add(Tensor x)
    {
        using var scope = NewDisposeScope();
        moments?.Add(x.reshape(-1, x.shape[^1]));
        norms?.Add(x);
        samples?.Add(x);
        for (long i = 0; i < x.shape[0] && (magnitudes is not null || covariances.Count > 0); i++)
        {
            var sample = x[i].reshape(-1, x.shape[^1]);
            magnitudes?.Add(sample);
            foreach (var covariance in covariances.Values)
            {
                covariance.Add(sample);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        moments?.Dispose();
        norms?.Dispose();
        magnitudes?.Dispose();
        samples?.Dispose();
        foreach (var covariance in covariances.Values)
        {
            covariance.Dispose();
        }
    }
}
