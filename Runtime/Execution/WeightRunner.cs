using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Execution;

/// <summary>Computes y = x Wᵀ with a weight in the form that it is kept in. Its buffers follow the inputs to their device: TorchSharp 0.107 does not move what is registered in a layer.</summary>
/// <param name="name">The kind of runner.</param>
internal abstract class WeightRunner(string name) : nn.Module<Tensor, Tensor>(name)
{
    private DeviceType type = DeviceType.CPU;
    private int index = -1;

    /// <summary>Bytes of its buffers.</summary>
    public long Bytes => named_buffers().Sum(item => item.buffer.numel() * item.buffer.element_size());

    /// <summary>Computes where the inputs are.</summary>
    /// <param name="x">[…, columns].</param>
    /// <returns>[…, rows]; the caller owns it.</returns>
    public Tensor Run(Tensor x)
    {
        var device = x.device;
        if (device.type != type || device.index != index)
        {
            this.to(device);
            (type, index) = (device.type, device.index);
        }

        return forward(x);
    }

    /// <summary>Keeps a tensor as a buffer; a copy that outlives the dispose scope.</summary>
    protected void Keep(string buffer, Tensor tensor) => register_buffer(buffer, tensor.detach().clone().contiguous().DetachFromDisposeScope());

    /// <summary>Keeps a runner as a part.</summary>
    protected TRunner Keep<TRunner>(string part, TRunner runner)
        where TRunner : WeightRunner
    {
        register_module(part, runner);
        return runner;
    }
}
