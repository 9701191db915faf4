using TorchSharp.Modules;

using static TorchSharp.torch;

namespace Tutor.Model;

/// <summary>Scales each token's features to a root mean square of 1, then by a learned factor.</summary>
public sealed class RmsNorm : nn.Module<Tensor, Tensor>
{
    private readonly double epsilon;
    private readonly Parameter weight;

    /// <summary>Makes the layer for tokens of some features.</summary>
    public RmsNorm(long features, double epsilon)
        : base(nameof(RmsNorm))
    {
        this.epsilon = epsilon;
        weight = nn.Parameter(ones(features));
        RegisterComponents();
    }

    /// <summary>Normalises x [..., features].</summary>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var meanSquare = x.square().mean([-1], keepdim: true);
        return (x * rsqrt(meanSquare + epsilon) * weight).MoveToOuterDisposeScope();
    }
}
