using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Optimization;

/// <summary>Lion (arXiv:2302.06675) and Lion-K (arXiv:2310.05898): a step along the map of a mix of momentum and gradient. One buffer. Decay λ beside the gradient holds weights in a set of size 1/λ.</summary>
/// <param name="LearningRate">The rate that a schedule multiplies; with λ, their product must stay below 1.</param>
public sealed record Lion(double LearningRate) : UpdateRule(LearningRate)
{
    /// <summary>The momentum's share of the direction.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>What stays of the momentum in each step.</summary>
    public double Beta2 { get; init; } = 0.99;

    /// <summary>The map, a gradient of a convex function K.</summary>
    public LionMap Map { get; init; }

    /// <summary>e of <see cref="LionMap.Huber"/>, <see cref="LionMap.Relativistic"/> and <see cref="LionMap.Dead"/>.</summary>
    public double Width { get; init; } = 1e-3;

    /// <summary>p of <see cref="LionMap.Lp"/>.</summary>
    public double Power { get; init; } = 2;

    /// <summary>k of <see cref="LionMap.TopK"/>.</summary>
    public int Largest { get; init; } = 1;

    /// <summary>Whether norms and the largest entries are those of each row instead of the whole tensor.</summary>
    public bool ByRow { get; init; }

    internal override void Apply(Tensor value, Tensor gradient, UpdateMemory memory, double rate)
    {
        if (rate * WeightDecay >= 1)
        {
            throw new InvalidOperationException($"a learning rate of {rate} with a decay of {WeightDecay} oscillates; their product must be below 1");
        }

        var momentum = memory.Like("momentum", value);
        var mix = (momentum * Beta1).add_(gradient, alpha: 1 - Beta1);
        Decay(value, rate);
        value.add_(Direction(mix), alpha: -rate);
        momentum.mul_(Beta2).add_(gradient, alpha: 1 - Beta2);
    }

    /// <summary>∇K of a tensor, in its shape; in the caller's dispose scope.</summary>
    /// <exception cref="InvalidOperationException">The map is for matrices and the tensor is none.</exception>
    public Tensor Direction(Tensor x)
    {
        using var scope = NewDisposeScope();
        if (Map == LionMap.Nuclear)
        {
            return Polar(x).MoveToOuterDisposeScope();
        }

        var rows = x.reshape(ByRow && x.dim() > 1 ? x.shape[0] : 1, -1);
        var direction = Map switch
        {
            LionMap.Sign => rows.sign(),
            LionMap.Lp => LpNormal(rows),
            LionMap.L2 => Divide(rows, rows.square().sum(1, keepdim: true).sqrt()),
            LionMap.Huber => rows.clamp(-Width, Width) / Width,
            LionMap.Relativistic => rows / (rows.square() + (Width * Width)).sqrt(),
            LionMap.Dead => rows.sign() * (rows.abs() > Width),
            LionMap.TopK => TopSigns(rows),
            _ => throw new InvalidOperationException($"unknown map '{Map}'"),
        };
        return direction.reshape(x.shape).to(x.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>sign(x) |x|^(p−1) / ‖x‖_p^(p−1), computed on entries over the largest so that nothing overflows.</summary>
    private Tensor LpNormal(Tensor rows)
    {
        var relative = Divide(rows, rows.abs().amax([1], keepdim: true));
        var magnitudes = relative.abs();
        var norm = magnitudes.pow(Power).sum(1, keepdim: true).pow((Power - 1) / Power);
        return Divide(relative.sign() * magnitudes.pow(Power - 1), norm);
    }

    private Tensor TopSigns(Tensor rows)
    {
        long count = Math.Min(Largest, rows.shape[1]);
        var order = rows.abs().sort(dim: 1, descending: true, stable: true).Indices.narrow(1, 0, count);
        return zeros_like(rows).scatter_(1, order, rows.gather(1, order).sign());
    }

    private static Tensor Polar(Tensor x)
    {
        if (x.dim() != 2)
        {
            throw new InvalidOperationException($"the map 'nuclear' is for matrices, and a tensor has {x.dim()} dimensions");
        }

        var (u, s, vt) = linalg.svd(x, fullMatrices: false);
        var kept = (s > s.max() * 1e-12).to(x.dtype);
        return (u * kept).mm(vt);
    }

    private static Tensor Divide(Tensor x, Tensor by) => x / where(by > 0, by, ones_like(by));
}

/// <summary>∇K of Lion-K.</summary>
public enum LionMap
{
    /// <summary>Signs (Lion): every entry of a weight stays within 1/λ.</summary>
    Sign,

    /// <summary>The normal of the p-norm: a ball of the dual norm.</summary>
    Lp,

    /// <summary>The unit vector: a ball.</summary>
    L2,

    /// <summary>Clipped and scaled: a box with a quadratic pull.</summary>
    Huber,

    /// <summary>x / √(x² + e²): smooth signs.</summary>
    Relativistic,

    /// <summary>Signs of entries beyond a width: makes weights sparse.</summary>
    Dead,

    /// <summary>Signs of the k largest entries, the earlier one in a tie.</summary>
    TopK,

    /// <summary>U Vᵀ of a matrix: a ball of the spectral norm.</summary>
    Nuclear,
}
