using static TorchSharp.torch;

namespace Tutor.Model;

/// <summary>Rotary position embedding (arXiv:2104.09864), the two halves of a head forming the pairs that are turned.</summary>
public sealed class Rotary : IDisposable
{
    private readonly Tensor cosines;
    private readonly Tensor sines;

    /// <summary>Makes the angles of all positions.</summary>
    public Rotary(LlamaConfig config)
    {
        using var scope = NewDisposeScope();
        var exponents = arange(0, config.HeadSize, 2, dtype: float32) / config.HeadSize;
        var frequencies = pow(config.RotaryBase, -exponents);
        var angles = outer(arange(config.ContextLength, dtype: float32), frequencies);
        var both = cat([angles, angles], dim: -1);
        cosines = cos(both).DetachFromDisposeScope();
        sines = sin(both).DetachFromDisposeScope();
    }

    /// <summary>Turns queries or keys [batch, heads, length, head size] by their positions.</summary>
    public Tensor Turn(Tensor x)
    {
        using var scope = NewDisposeScope();
        var halves = x.chunk(2, dim: -1);
        var turned = cat([-halves[1], halves[0]], dim: -1);
        return ((x * At(cosines, x)) + (turned * At(sines, x))).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        cosines.Dispose();
        sines.Dispose();
    }

    private static Tensor At(Tensor table, Tensor x) => table.narrow(0, 0, x.shape[2]).to(x.dtype, x.device);
}
