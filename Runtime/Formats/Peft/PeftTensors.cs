using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Formats.Peft;

/// <summary>What an adapter adds to one module; owns its tensors.</summary>
public abstract record PeftTensors : IDisposable
{
    /// <summary>The tensors, by what their keys add to the module's path.</summary>
    internal abstract IEnumerable<(string Suffix, Tensor Tensor)> Parts { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (_, tensor) in Parts)
        {
            tensor.Dispose();
        }

        GC.SuppressFinalize(this);
    }

    /// <exception cref="HeaderException">The tensors contradict the configuration.</exception>
    internal abstract void Check(PeftConfig config, string module);

    /// <summary>Whether a base weight has the shape that the tensors are for.</summary>
    internal abstract bool Fits(PeftConfig config, IReadOnlyList<long> weight);

    /// <exception cref="HeaderException">A tensor has another shape.</exception>
    private protected static void Require(bool fits, string module, string part, Tensor tensor, string expected)
    {
        if (!fits)
        {
            throw new HeaderException($"{part} of module '{module}' is [{string.Join(", ", tensor.shape)}] where {expected} is expected");
        }
    }
}
