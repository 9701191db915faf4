using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>The dtypes that real numbers of an expression may be stored in.</summary>
internal static class Dtypes
{
    public static ScalarType[] Real => [float32, float64, float16, bfloat16];

    /// <summary>The dtype of a step's scales.</summary>
    public static ScalarType Of(ScaleType scales) => scales == ScaleType.Float16 ? float16 : float32;

    /// <summary>The dtype of a real number.</summary>
    public static ScalarType Of(RealType type) => type switch { RealType.Float16 => float16, RealType.Bfloat16 => bfloat16, _ => float32 };

    /// <summary>What a stored tensor counts as in a dense result: float64 stays, everything else is float32.</summary>
    public static ScalarType Wide(ScalarType dtype) => dtype == float64 ? float64 : float32;

    /// <summary>Both operands in the wider of their dtypes (float32 or float64).</summary>
    public static (Tensor A, Tensor B) Promote(Tensor a, Tensor b)
    {
        var dtype = a.dtype == float64 || b.dtype == float64 ? float64 : float32;
        return (a.to(dtype), b.to(dtype));
    }
}
