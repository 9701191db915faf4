using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Execution;

/// <summary>Computes y = x Wᵀ with a weight in the form that it is kept in. A module, so that its buffers move with the model.</summary>
/// <param name="name">The kind of runner.</param>
internal abstract class WeightRunner(string name) : nn.Module<Tensor, Tensor>(name)
{
    /// <summary>Bytes of its buffers.</summary>
    public long Bytes => named_buffers().Sum(item => item.buffer.numel() * item.buffer.element_size());

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
