using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Models;

/// <summary>A buffer of a layer that a hook reads. TorchSharp 0.107 moves a layer's own parameters and leaves such buffers where they are, so a copy follows the inputs.</summary>
/// <param name="name">The buffer's name.</param>
internal sealed class SideBuffer(string name)
{
    private Tensor? moved;

    /// <summary>The buffer on the device of the inputs; owned by the layer or here.</summary>
    /// <param name="module">The layer.</param>
    /// <param name="x">The inputs.</param>
    public Tensor For(nn.Module module, Tensor x)
    {
        var own = module.get_buffer(name)!;
        if (AreTogether(own, x))
        {
            return own;
        }

        if (moved is null || !AreTogether(moved, x))
        {
            moved?.Dispose();
            moved = own.to(x.device).DetachFromDisposeScope();
        }

        return moved;
    }

    private static bool AreTogether(Tensor a, Tensor b) => a.device.type == b.device.type && a.device.index == b.device.index;
}
