using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Tables of values as they are stored, before any code is computed with them.</summary>
internal static class StoredTables
{
    /// <summary>Rounds tables to their stored dtype.</summary>
    /// <param name="tables">One a row [tables, values].</param>
    /// <param name="type">The dtype.</param>
    /// <param name="notes">Gets a note where small values lose digits.</param>
    /// <returns>In the current dispose scope.</returns>
    /// <exception cref="InvalidOperationException">A value does not fit.</exception>
    public static Tensor Of(Tensor tables, ScaleType type, List<string> notes)
    {
        var stored = tables.to(Dtypes.Of(type));
        if (!stored.isfinite().all().item<bool>())
        {
            throw new InvalidOperationException($"a table value of {tables.abs().max().item<double>():g3} does not fit {stored.dtype}; use 'tableType: float32'");
        }

        var largest = tables.abs().amax(1);
        if (type == ScaleType.Float16 && ((largest > 0) & (largest < RoundToNearestSolver.SmallestNormalHalf)).any().item<bool>())
        {
            notes.Add("some tables hold only values so small that float16 loses digits of them; 'tableType: float32' keeps them");
        }

        return stored;
    }
}
