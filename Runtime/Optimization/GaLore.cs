using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Optimization;

/// <summary>Adam on the gradient's projection to its own leading singular vectors (GaLore, arXiv:2403.03507, official code).</summary>
/// <param name="LearningRate">The rate that a schedule multiplies.</param>
/// <remarks>ε is not corrected for the start, and decay comes after the update, both as officially. Tensors that are no matrices are moved in full.</remarks>
public sealed record GaLore(double LearningRate) : UpdateRule(LearningRate)
{
    /// <summary>What stays of the mean gradient in each step.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>What stays of the mean squared gradient in each step.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the root, so that it can be divided by.</summary>
    public double Epsilon { get; init; } = 1e-6;

    /// <summary>r, the singular vectors that are kept; at most the smaller side.</summary>
    public int Rank { get; init; } = 128;

    /// <summary>Steps between two decompositions.</summary>
    public int Gap { get; init; } = 200;

    /// <summary>What the update of a matrix is multiplied by.</summary>
    public double Scale { get; init; } = 0.25;

    internal override void Apply(Tensor value, Tensor gradient, UpdateMemory memory, double rate)
    {
        if (value.dim() == 2)
        {
            bool tall = value.shape[0] >= value.shape[1];
            if ((memory.Steps - 1) % Gap == 0)
            {
                memory.Set("projector", Projector(gradient, tall));
            }

            var projector = memory.Tensors["projector"];
            var update = Update(tall ? gradient.mm(projector.mT) : projector.mT.mm(gradient), memory);
            value.add_(tall ? update.mm(projector) : projector.mm(update), alpha: -rate * Scale);
        }
        else
        {
            value.add_(Update(gradient, memory), alpha: -rate);
        }

        Decay(value, rate);
    }

    private Tensor Update(Tensor gradient, UpdateMemory memory)
    {
        var mean = memory.Like("mean", gradient).mul_(Beta1).add_(gradient, alpha: 1 - Beta1);
        var square = memory.Like("square", gradient).mul_(Beta2).addcmul_(gradient, gradient, 1 - Beta2);
        double correction = Math.Sqrt(1 - Math.Pow(Beta2, memory.Steps)) / (1 - Math.Pow(Beta1, memory.Steps));
        return (mean / square.sqrt().add_(Epsilon)).mul_(correction);
    }

    /// <summary>The first rows of Vᵀ [r, n] of a tall gradient, or the first columns of U [m, r] of a wide one.</summary>
    private Tensor Projector(Tensor gradient, bool tall)
    {
        var (u, _, vt) = linalg.svd(gradient.dtype == float64 ? gradient : gradient.to(float32), fullMatrices: false);
        long rank = Math.Min(Rank, Math.Min(gradient.shape[0], gradient.shape[1]));
        return (tall ? vt.narrow(0, 0, rank) : u.narrow(1, 0, rank)).to(gradient.dtype).clone();
    }
}
