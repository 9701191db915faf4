using PipelineDsl.Runtime.Formats.Safetensors;

namespace PipelineDsl.Runtime.Engine;

/// <summary>A solved layer as a file of the cache, of which the header was read.</summary>
internal sealed class StoredLayer
{
    private readonly IReadOnlyList<TensorInfo> tensors;

    private StoredLayer(string path, SolvedSummary summary, IReadOnlyList<TensorInfo> tensors)
    {
        Path = path;
        Summary = summary;
        this.tensors = tensors;
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>What is known without the numbers.</summary>
    public SolvedSummary Summary { get; }

    /// <summary>Reads a file's header.</summary>
    /// <exception cref="InvalidDataException">The file is not what <see cref="SolvedLayer.Write"/> leaves.</exception>
    public static StoredLayer Open(string path)
    {
        using var file = SafetensorsFile.Open(path);
        return new(path, SolvedSummary.Read(file), [.. file.Names.Select(file.Info)]);
    }

    /// <summary>The tensors, each read when it is written.</summary>
    public IEnumerable<PendingTensor> Tensors() => tensors.Select(tensor => new PendingTensor(tensor.Name, tensor.Type, tensor.Shape, () =>
    {
        using var file = SafetensorsFile.Open(Path);
        return file.Read(tensor.Name);
    }));
}
