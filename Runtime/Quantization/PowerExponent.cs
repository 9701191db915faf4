namespace PipelineDsl.Runtime.Quantization;

/// <summary>The exponent that makes an error small.</summary>
/// <param name="Value">The exponent.</param>
/// <param name="Error">Its error.</param>
/// <param name="Exponents">The coarse grid.</param>
/// <param name="Errors">The errors on it.</param>
public sealed record PowerExponent(double Value, double Error, IReadOnlyList<double> Exponents, IReadOnlyList<double> Errors)
{
    private const int CoarseSteps = 100;
    private const int FineSteps = 200;
    private const double FineReach = 0.01;

    /// <summary>Tries 101 exponents evenly spread, then 201 within 0.01 of the best; of equals the smallest wins.</summary>
    /// <remarks>The error jumps a little wherever a code changes, so a grid is safer than a descent. For the exponent of a whole model the error is the sum over its layers' norms.</remarks>
    /// <param name="error">The error of an exponent.</param>
    /// <param name="lowest">The smallest exponent.</param>
    /// <param name="highest">The largest exponent.</param>
    public static PowerExponent Search(Func<double, double> error, double lowest, double highest)
    {
        double[] exponents = [.. Enumerable.Range(0, CoarseSteps + 1).Select(i => lowest + ((highest - lowest) * i / CoarseSteps))];
        double[] errors = [.. exponents.Select(error)];
        int best = Array.IndexOf(errors, errors.Min());
        var (value, least) = Enumerable.Range(0, FineSteps + 1)
            .Select(i => exponents[best] - FineReach + (2 * FineReach * i / FineSteps))
            .Select(exponent => (Exponent: exponent, Error: error(exponent)))
            .MinBy(candidate => candidate.Error);
        return least <= errors[best] ? new(value, least, exponents, errors) : new(exponents[best], errors[best], exponents, errors);
    }
}
