using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Statistics;

/// <summary>What calibration learned about one layer; only what was asked for is there. All tensors are on the CPU and, unless they say otherwise, float64.</summary>
/// <remarks>Tensors of <see cref="InputMoments"/>, <see cref="Covariances"/>, <see cref="InputNorms"/> and <see cref="InputSamples"/> may be shared between layers that read the same input.</remarks>
public sealed class LayerStatistics
{
    /// <summary>Nothing collected.</summary>
    public static LayerStatistics None { get; } = new();

    /// <summary>Sums over all input vectors.</summary>
    public InputMoments? InputMoments { get; init; }

    /// <summary>Mean over samples of xᵀx [columns, columns], each sample scaled as its kind says.</summary>
    public IReadOnlyDictionary<StatisticKinds, Tensor> Covariances { get; init; } = new Dictionary<StatisticKinds, Tensor>();

    /// <summary>Mean over samples of the L2 norm over tokens of each input channel [columns].</summary>
    public Tensor? InputNorms { get; init; }

    /// <summary>Magnitudes of the input channels.</summary>
    public InputMagnitudes? InputMagnitudes { get; init; }

    /// <summary>A uniform sample of the input vectors [tokens, columns] float32, in the order they came.</summary>
    public Tensor? InputSamples { get; init; }

    /// <summary>Sums of squared gradients.</summary>
    public FisherSums? Fisher { get; init; }

    /// <summary>Squared gradients of every weight, summed over backward passes [rows, columns] float32.</summary>
    public Tensor? FisherDiagonal { get; init; }

    /// <summary>How often each row of a table was looked up [rows].</summary>
    public Tensor? AccessCounts { get; init; }

    /// <summary>The same on a device, in the current dispose scope.</summary>
    /// <param name="device">Where the tensors go.</param>
    internal LayerStatistics To(Device device) => new()
    {
        InputMoments = InputMoments is { } moments ? moments with { Sum = moments.Sum.to(device), Gram = moments.Gram.to(device) } : null,
        Covariances = Covariances.ToDictionary(item => item.Key, item => item.Value.to(device)),
        InputNorms = InputNorms?.to(device),
        InputMagnitudes = InputMagnitudes is { } magnitudes ? new(magnitudes.Means.to(device), magnitudes.Largest.to(device)) : null,
        InputSamples = InputSamples?.to(device),
        Fisher = Fisher is { } fisher ? fisher with { Rows = fisher.Rows.to(device), Columns = fisher.Columns.to(device) } : null,
        FisherDiagonal = FisherDiagonal?.to(device),
        AccessCounts = AccessCounts?.to(device),
    };
}

/// <summary>Sums over the input vectors x of a layer.</summary>
/// <param name="Count">Number of vectors.</param>
/// <param name="Sum">Σ x [columns].</param>
/// <param name="Gram">Σ x xᵀ [columns, columns].</param>
public sealed record InputMoments(long Count, Tensor Sum, Tensor Gram);

/// <summary>Magnitudes |x_j| of the input channels of a layer.</summary>
/// <param name="Means">Their mean over the tokens of a sample, summed over samples [columns].</param>
/// <param name="Largest">Their largest [columns].</param>
public sealed record InputMagnitudes(Tensor Means, Tensor Largest);

/// <summary>The empirical Fisher information F = E[(∂L/∂W)²], summed along each axis.</summary>
/// <param name="Count">Number of backward passes.</param>
/// <param name="Rows">Σ_j F_ij [rows].</param>
/// <param name="Columns">Σ_i F_ij [columns].</param>
public sealed record FisherSums(long Count, Tensor Rows, Tensor Columns);
