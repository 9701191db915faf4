using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Artifacts;

/// <summary>The stacked layers of a loaded model, and how many of their blocks are in use.</summary>
/// <param name="artifact">Where the blocks are.</param>
/// <param name="sizes">The sizes that the model can have.</param>
/// <param name="layers">The layers of <paramref name="sizes"/>, in that order, with the model's own modules.</param>
internal sealed class ElasticModel(Artifact artifact, ElasticRecord sizes, IReadOnlyList<(ModelLayer Layer, LayerRecord Record)> layers)
{
    private readonly int[] blocks = new int[layers.Count];

    /// <summary>Takes the largest size within a budget and returns its bytes.</summary>
    public long Resize(long budget)
    {
        int size = artifact.SizeWithin(budget);
        using var weights = artifact.OpenWeights();
        Put(size, weights);
        return sizes.Bytes[size];
    }

    /// <summary>Gives each layer the blocks it has in a size, in place; only layers that change are touched, only blocks in use are read.</summary>
    /// <param name="size">An index into the table of sizes.</param>
    /// <param name="weights">The artifact's weights.</param>
    /// <remarks>A weight is always summed from its first block on, so that a size means the same bits whatever was there before.</remarks>
    public void Put(int size, SafetensorsFile weights)
    {
        using var noGradients = no_grad();
        int[] wanted = sizes.BlocksAt(size);
        for (int i = 0; i < layers.Count; i++)
        {
            if (blocks[i] == wanted[i])
            {
                continue;
            }

            var (layer, record) = layers[i];
            artifact.Read(record, wanted[i], weights, weight => layer.Weight.copy_(weight.Materialize()));
            blocks[i] = wanted[i];
        }
    }
}
