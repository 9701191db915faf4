using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>How integers of a given grid are found.</summary>
internal interface IGridRounding
{
    /// <summary>Codes [m, n] int16 for scales and offsets [m, groups] float64; the caller owns them.</summary>
    Tensor Round(Tensor scales, Tensor offsets);
}
