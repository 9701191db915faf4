using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Analysis;

/// <summary>
/// Leading singular directions of a tuned weight that no single singular direction of the weight before tuning resembles: a predictor of forgetting that needs no data
/// (LoRA vs Full Fine-tuning: An Illusion of Equivalence, arXiv:2410.21228).
/// </summary>
/// <remarks>Weights are [out, in]; those that are stored [in, out] (Conv1D of GPT-2) are transposed first.</remarks>
/// <param name="settings">What is tested and what counts as new.</param>
public sealed class IntruderSearch(IntruderDimensions settings)
{
    /// <summary>The singular vectors of the base weight on the compared side: to be kept where several tuned weights are compared with one base.</summary>
    /// <param name="baseWeight">W0 [m, n], floating point.</param>
    /// <returns>In the caller's dispose scope.</returns>
    /// <exception cref="InvalidOperationException">The weight holds NaN or infinity.</exception>
    public LeftSvd Decompose(Tensor baseWeight)
    {
        using var scope = NewDisposeScope();
        var found = Vectors(Oriented(baseWeight, nameof(baseWeight)));
        return found with { Vectors = found.Vectors.MoveToOuterDisposeScope() };
    }

    /// <summary>Compares a tuned weight with the weight before tuning (section 3 of the paper).</summary>
    /// <param name="baseWeight">W0 [m, n], floating point; decomposed in float64.</param>
    /// <param name="tuned">W [m, n], floating point: W0 + s B A of an adapter, merged in float32 or better, or any tuned weight.</param>
    /// <param name="baseVectors">What <see cref="Decompose"/> gave for the same base weight and side; null decomposes it here.</param>
    /// <returns>Findings whose tensor is in the caller's dispose scope.</returns>
    /// <exception cref="ArgumentException">The weights are no matrices of one shape.</exception>
    /// <exception cref="InvalidOperationException">A setting is out of range, or a weight holds NaN or infinity.</exception>
    public IntruderFindings Compare(Tensor baseWeight, Tensor tuned, LeftSvd? baseVectors = null)
    {
        Validate();
        if (tuned.dim() != 2 || !baseWeight.shape.SequenceEqual(tuned.shape))
        {
            throw new ArgumentException($"[{string.Join(", ", baseWeight.shape)}] and [{string.Join(", ", tuned.shape)}] are no matrices of one shape", nameof(tuned));
        }

        using var scope = NewDisposeScope();
        var before = Oriented(baseWeight, nameof(baseWeight));
        var after = Oriented(tuned, nameof(tuned));
        var known = baseVectors ?? Vectors(before);
        var found = Vectors(after);
        if (!known.Vectors.shape.SequenceEqual(found.Vectors.shape))
        {
            throw new ArgumentException($"the base vectors [{string.Join(", ", known.Vectors.shape)}] are not those of this weight and side", nameof(baseVectors));
        }

        double[] cosines = Cosines(known.Vectors, found.Vectors);
        double rounding = LeftSvd.RouteFor(after.shape[0], after.shape[1]) == SvdRoute.Exact ? Projection.ZeroTolerance : Math.Sqrt(Projection.ZeroTolerance);
        int rank = found.Values.Count(value => value > rounding * found.Values[0]);
        int[] intruders = [.. Enumerable.Range(0, Math.Min(settings.TopK, rank)).Where(j => cosines[j] < settings.Threshold)];
        var directions = found.Vectors.index_select(1, tensor(intruders, dtype: int64, device: tuned.device));
        return new IntruderFindings
        {
            Settings = settings,
            BaseSingularValues = known.Values,
            SingularValues = found.Values,
            MaxCosines = cosines,
            NumericalRank = rank,
            Intruders = intruders,
            Directions = directions.MoveToOuterDisposeScope(),
            RelativeUpdate = Ratio(LargestSingularValue(after - before), known.Values[0]),
        };
    }

    /// <summary>W or, for the right side, Wᵀ: the compared vectors are the left ones.</summary>
    private Tensor Oriented(Tensor weight, string name)
    {
        MatrixChecks.RequireFinite(weight, name);
        var exact = weight.detach().to(float64);
        return settings.Side == SingularSide.Left ? exact : exact.mT;
    }

    private static LeftSvd Vectors(Tensor matrix) => LeftSvd.Of(matrix, LeftSvd.RouteFor(matrix.shape[0], matrix.shape[1]));

    /// <summary>Of each tuned direction, the largest norm of its projection on a window of base vectors.</summary>
    private double[] Cosines(Tensor before, Tensor after)
    {
        using var scope = NewDisposeScope();
        var cosines = after.mT.mm(before).abs();
        long window = Math.Min(settings.Window, cosines.shape[1]);
        var best = window == 1 ? cosines.amax([1]) : cosines.square().unfold(1, window, 1).sum(dim: -1L).amax([1]).sqrt();
        return best.cpu().data<double>().ToArray();
    }

    /// <summary>σ1 by the smaller Gram matrix, whose largest eigenvalue is right to rounding.</summary>
    private static double LargestSingularValue(Tensor matrix)
    {
        using var scope = NewDisposeScope();
        var gram = matrix.shape[0] <= matrix.shape[1] ? matrix.mm(matrix.mT) : matrix.mT.mm(matrix);
        return Math.Sqrt(Math.Max(0, SymmetricEigen.Values(gram)[-1].item<double>()));
    }

    private static double Ratio(double part, double whole) => part == 0 ? 0 : part / whole;

    private void Validate()
    {
        if (settings.TopK < 1 || settings.Window < 1 || settings.Threshold is not (> 0 and < 1))
        {
            throw new InvalidOperationException($"topK {settings.TopK} (at least 1), window {settings.Window} (at least 1) or threshold {settings.Threshold} (between 0 and 1) is out of range");
        }
    }
}
