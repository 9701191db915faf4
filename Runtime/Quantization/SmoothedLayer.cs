using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>A layer whose inputs are divided by s and whose weight is multiplied by it: what SVDQuant rounds, and what rounding costs at the output.</summary>
/// <remarks>Tensors are float64 and belong to the dispose scope that the layer is made in.</remarks>
internal sealed class SmoothedLayer
{
    private readonly Tensor inputs;
    private readonly Tensor outputs;
    private readonly Tensor rounded;
    private readonly ScalarType realType;

    /// <summary>A layer in a smoothing.</summary>
    /// <param name="weight">W [m, n].</param>
    /// <param name="inputs">X [tokens, n].</param>
    /// <param name="outputs">X Wᵀ [tokens, m].</param>
    /// <param name="reciprocal">1/s [n] as stored.</param>
    /// <param name="grids">How weights and inputs are rounded.</param>
    /// <param name="shift">What is added to X before it is rounded.</param>
    public SmoothedLayer(Tensor weight, Tensor inputs, Tensor outputs, Tensor reciprocal, FourBitGrids grids, double shift)
    {
        this.inputs = inputs;
        this.outputs = outputs;
        realType = grids.RealType;
        Reciprocal = reciprocal;
        Weight = weight / reciprocal;
        Inputs = inputs * reciprocal;
        Offset = shift > 0 ? (reciprocal * shift).to(realType).to(float64) : null;
        rounded = grids.Inputs is not { } grid ? Inputs : Offset is null ? grid.Round(Inputs) : grid.Round(Inputs + Offset) - Offset;
    }

    /// <summary>1/s [n].</summary>
    public Tensor Reciprocal { get; }

    /// <summary>W diag(s) [m, n].</summary>
    public Tensor Weight { get; }

    /// <summary>X diag(1/s) [tokens, n].</summary>
    public Tensor Inputs { get; }

    /// <summary>The shift of smoothed inputs [n] as stored, or null.</summary>
    public Tensor? Offset { get; }

    /// <summary>The inputs that the rounded weight sees [tokens, n].</summary>
    public Tensor RoundedInputs => rounded;

    /// <summary>The branch of a rank that is nearest to a matrix; all singular values are with the upper factor.</summary>
    /// <param name="matrix">W diag(s) without what is rounded [m, n].</param>
    /// <param name="step">Rank and accuracy.</param>
    /// <param name="seed">The seed of an iteration.</param>
    /// <returns>In the caller's dispose scope.</returns>
    public LowRankBranch Branch(Tensor matrix, SvdQuant step, long seed)
    {
        using var scope = NewDisposeScope();
        if (step.Rank == 0)
        {
            return new(null, zeros_like(matrix).MoveToOuterDisposeScope(), []);
        }

        var projection = Projection.Leading(matrix, matrix, step.Rank, step.Accuracy, seed);
        var exact = projection.Factors(Slice.Top, step.Rank, SigmaFuse.Left);

        // The branch reads inputs as they come, so its lower factor is stored with 1/s in it.
        var stored = new FactorPair(exact.B.to(realType), (exact.A * Reciprocal).to(realType));
        if (!stored.B.isfinite().all().item<bool>())
        {
            throw new InvalidOperationException($"the low-rank branch does not fit {realType}; use 'scaleType: float32'");
        }

        var product = stored.B.to(float64).mm(stored.A.to(float64) / Reciprocal);
        return new(stored.MoveToOuterDisposeScope(), product.MoveToOuterDisposeScope(), projection.Spectrum);
    }

    /// <summary>Σ (Y' − Y)² over the sample, Y' = X Lᵀ + Q(X) Qᵀ.</summary>
    /// <param name="branch">L.</param>
    /// <param name="weight">Q [m, n].</param>
    public double Error(LowRankBranch? branch, Tensor weight)
    {
        using var scope = NewDisposeScope();
        var difference = rounded.mm(weight.mT) - outputs;
        if (branch?.Stored is { } factors)
        {
            difference += inputs.mm(factors.A.to(float64).mT).mm(factors.B.to(float64).mT);
        }

        return difference.square().sum().item<double>();
    }
}

/// <summary>A low-rank branch.</summary>
/// <param name="Stored">Its factors [m, r] and [r, n] as stored, for inputs that are not smoothed; null without a branch.</param>
/// <param name="Product">What it takes off the smoothed weight [m, n].</param>
/// <param name="Spectrum">The known singular values of what it approximates.</param>
internal sealed record LowRankBranch(FactorPair? Stored, Tensor Product, double[] Spectrum) : IDisposable
{
    /// <summary>Keeps the tensors when the current dispose scope ends.</summary>
    public LowRankBranch MoveToOuterDisposeScope()
    {
        Stored?.MoveToOuterDisposeScope();
        Product.MoveToOuterDisposeScope();
        return this;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Stored?.B.Dispose();
        Stored?.A.Dispose();
        Product.Dispose();
    }
}
