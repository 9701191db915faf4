using PipelineDsl.Runtime.Weights;

namespace PipelineDsl.Runtime.Execution;

/// <summary>Makes runners of weights.</summary>
internal static class RunnerFactory
{
    /// <summary>Entries of the smallest matrix that is worth running packed: below it a dense one costs less than the call.</summary>
    public const long SmallestPacked = 1 << 18;

    /// <summary>Whether a weight has a part that runs faster or smaller as it is packed than dense, on this machine.</summary>
    public static bool Pays(Expression weight) => PackedRunner.IsSupported && weight switch
    {
        Product or Sum or Scaled or Permuted or QuantizedInputs => weight.Parts.Any(Pays),
        _ => weight.Rows * weight.Columns >= SmallestPacked && IsPackable(weight),
    };

    /// <summary>A runner that computes what <see cref="Expression.Apply"/> does; the caller owns it.</summary>
    /// <param name="weight">The weight, copied; still the caller's.</param>
    /// <param name="packed">Whether matrices of few bits stay packed; otherwise they become dense.</param>
    public static WeightRunner Make(Expression weight, bool packed) => weight switch
    {
        Product product => new ProductRunner(Make(product.Left, packed), Make(product.Right, packed)),
        Sum sum when !sum.IsLinear || packed => new SumRunner(sum.Parts.Select(part => Make(part, packed))),
        Scaled scaled when !scaled.IsLinear || packed => new ScaledRunner(scaled, Make(scaled.Inner, packed)),
        Permuted permuted when packed => new PermutedRunner(permuted.Order, Make(permuted.Inner, packed)),
        QuantizedInputs rounded => new RoundedInputsRunner(rounded, Make(rounded.Inner, packed)),
        Sparse sparse when packed => new SparseRunner(sparse),
        _ when packed && weight.Rows * weight.Columns >= SmallestPacked && PackedRunner.Of(weight) is { } runner => runner,
        _ => Dense(weight),
    };

    private static bool IsPackable(Expression weight)
    {
        using var runner = PackedRunner.Of(weight);
        return runner is not null;
    }

    private static DenseRunner Dense(Expression weight)
    {
        using var matrix = weight.Materialize();
        return new(matrix);
    }
}
