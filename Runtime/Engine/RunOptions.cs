namespace PipelineDsl.Runtime.Engine;

/// <summary>Where and how recipes are run.</summary>
public sealed record RunOptions
{
    /// <summary>The folder that recipes' paths are relative to.</summary>
    public required string ProjectDirectory { get; init; }

    /// <summary>The folder that gets one folder of artifact files a recipe.</summary>
    public required string OutputDirectory { get; init; }

    /// <summary>The folder of cached results.</summary>
    public required string CacheDirectory { get; init; }

    /// <summary>The server that cached results are taken from and put to, or null.</summary>
    public CacheServer? CacheServer { get; init; }

    /// <summary>Layers that may be solved at once.</summary>
    public int Cores { get; init; } = 1;

    /// <summary>The most bytes that a run may take at once, or null for no limit: fewer layers are then solved at once.</summary>
    public long? MemoryLimit { get; init; }

    /// <summary>Where the model runs: <c>cpu</c> or <c>cuda</c>.</summary>
    public string Device { get; init; } = "cpu";

    /// <summary>The same as the tensor library knows it.</summary>
    internal TorchSharp.torch.Device TensorDevice => Device == "cuda" ? TorchSharp.torch.CUDA : TorchSharp.torch.CPU;

    /// <summary>Whether a plan that differs from its lock file is an error.</summary>
    public bool LockedMode { get; init; }

    /// <summary>Whether lock files are rewritten.</summary>
    public bool UpdateLock { get; init; }

    /// <summary>Whether a model that no step runs is made without its numbers, which are then read from the weights a tensor at a time.</summary>
    /// <remarks>The tensor library keeps one default device for all threads: nothing else in the process may make tensors while a model is made.</remarks>
    public bool ShapesOnly { get; init; }

    /// <summary>Tells one state of the user's code from another; null takes what the pipeline's class can reach.</summary>
    public string? CodeFingerprint { get; init; }
}
