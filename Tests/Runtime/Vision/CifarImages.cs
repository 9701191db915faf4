using PipelineDsl.Runtime.Formats.Safetensors;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Vision;

/// <summary>CIFAR-10's binary layout. Compiled into the tests and into the benchmarks.</summary>
internal static class CifarImages
{
    private const int RecordBytes = 3073;

    /// <summary>Writes images as normalised tensors <c>input</c> [images, 3, 32, 32] float32 and <c>target</c> [images] int64.</summary>
    /// <param name="source">Records of a label and 3 · 32 · 32 pixels.</param>
    /// <param name="path">The safetensors file.</param>
    public static void Write(string source, string path)
    {
        using var scope = NewDisposeScope();
        byte[] bytes = File.ReadAllBytes(source);
        var records = tensor(bytes, dtype: uint8).reshape(-1, RecordBytes);
        var images = records.narrow(1, 1, RecordBytes - 1).to(float32).reshape(-1, 3, 32, 32) / 255;
        var mean = tensor([0.485f, 0.456f, 0.406f]).reshape(3, 1, 1);
        var deviation = tensor([0.229f, 0.224f, 0.225f]).reshape(3, 1, 1);
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor> { ["input"] = (images - mean) / deviation, ["target"] = records.select(1, 0).to(int64) });
    }
}
