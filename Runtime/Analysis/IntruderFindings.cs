using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Analysis;

/// <summary>What <see cref="IntruderSearch"/> finds in one weight.</summary>
/// <remarks>
/// A direction is an intruder when it is aligned with no single base vector; it still lies in their span, and nearly every random direction is one at 0.5. So the share of the energy and the
/// size of the update belong beside the count.
/// </remarks>
public sealed record IntruderFindings
{
    /// <summary>The thresholds that a report counts at.</summary>
    public static IReadOnlyList<double> ReportedEpsilons { get; } = [0.1, 0.3, 0.5, 0.7, 0.9];

    /// <summary>The numbers of leading directions that a report counts in.</summary>
    public static IReadOnlyList<int> ReportedTopK { get; } = [1, 10, 64];

    /// <summary>The settings of the comparison.</summary>
    public required IntruderDimensions Settings { get; init; }

    /// <summary>The singular values of the base weight, descending; p = min(m, n) of them.</summary>
    public required IReadOnlyList<double> BaseSingularValues { get; init; }

    /// <summary>The singular values of the tuned weight, descending.</summary>
    public required IReadOnlyList<double> SingularValues { get; init; }

    /// <summary>Of each of the p tuned directions, max over all base vectors of |u_jᵀ u0_i|.</summary>
    public required IReadOnlyList<double> MaxCosines { get; init; }

    /// <summary>How many tuned directions have a singular value above rounding; the others are arbitrary and never intruders.</summary>
    public required int NumericalRank { get; init; }

    /// <summary>The intruders' indices among the tuned directions, ascending.</summary>
    public required IReadOnlyList<int> Intruders { get; init; }

    /// <summary>The intruders' singular vectors on the compared side, float64 [m, count] (left) or [n, count] (right). The tensor belongs to the dispose scope of the caller of the comparison.</summary>
    public required Tensor Directions { get; init; }

    /// <summary>σ1(W − W0) / σ1(W0); infinity when only W0 is zero.</summary>
    public required double RelativeUpdate { get; init; }

    /// <summary>The number of intruders.</summary>
    public int Count => Intruders.Count;

    /// <summary>Σ S_j² over the intruders as a share of the same over the tested directions; 0 for a zero weight.</summary>
    public double EnergyShare
    {
        get
        {
            double intruding = Intruders.Sum(j => SingularValues[j] * SingularValues[j]);
            return intruding == 0 ? 0 : intruding / SingularValues.Take(Settings.TopK).Sum(value => value * value);
        }
    }

    /// <summary>The number of intruders by another threshold and among another number of leading directions.</summary>
    public int CountAt(double epsilon, int topK) => MaxCosines.Take(Math.Min(topK, NumericalRank)).Count(cosine => cosine < epsilon);
}
