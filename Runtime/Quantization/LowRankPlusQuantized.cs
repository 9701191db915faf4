using PipelineDsl.Runtime.Decomposition;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>W ≈ Q + L₁ L₂: codes and factors fitted to each other in turn (LQ-LoRA, arXiv:2311.12023, algorithm 2).</summary>
/// <param name="Weight">Q, or the sum of Q and the product; the caller owns it.</param>
/// <param name="Errors">After each turn, Σ F (W − Q − L₁ L₂)² / Σ F W².</param>
/// <param name="Kept">Which turn's result this is.</param>
internal sealed record LowRankPlusQuantized(Expression Weight, IReadOnlyList<double> Errors, int Kept)
{
    /// <summary>The smallest weight of a row or column, as a share of the largest: those that no gradient reaches must still be divided by it.</summary>
    private const double Floor = 1e-6;

    /// <summary>Decomposes a matrix.</summary>
    /// <param name="weight">W [rows, columns] float32, finite.</param>
    /// <param name="fisher">F [rows, columns], not negative and somewhere above 0; null where all weights count the same.</param>
    /// <param name="step">Rank, codes and iterations.</param>
    /// <param name="seed">The seed of iterated decompositions.</param>
    /// <param name="first">The product of the first turn, which is the same for all codes (<see cref="First"/>); still the caller's. Null where it is not known.</param>
    public static LowRankPlusQuantized Of(Tensor weight, Tensor? fisher, LqLora step, long seed, Expression? first = null)
    {
        using var scope = NewDisposeScope();
        var sides = Sides(fisher, weight.shape);
        var rest = weight.alias();
        var errors = new List<double>();
        Expression? result = null;
        int kept = 0;
        while (errors.Count < (step.Rank > 0 ? step.Iterations : 1))
        {
            using var turn = NewDisposeScope();
            var branch = step.Rank == 0 ? null
                : errors.Count == 0 && first is not null ? first.RewriteDense(dense => new Dense(dense.Matrix.alias()))
                : Branch(rest, sides, step, seed);
            var codes = Round(branch is null ? weight : weight - branch.Materialize(), step);
            rest.Dispose();
            rest = (weight - codes.Materialize()).MoveToOuterDisposeScope();
            Expression next = branch is null ? codes : new Sum(codes, branch);
            double error = MatrixChecks.WeightedError(weight, next.Materialize(), fisher);
            bool improves = errors.Count == 0 || error < errors[^1];
            bool ends = step.Parity == Parity.Official ? errors.Count > 0 && error > errors[^1] : !improves;
            errors.Add(error);
            if (improves || step.Parity == Parity.Official)
            {
                result?.Dispose();
                (result, kept) = (next, errors.Count - 1);
            }
            else
            {
                next.Dispose();
            }

            if (ends)
            {
                break;
            }
        }

        return new(result!, errors, kept);
    }

    /// <summary>The product nearest to the weight itself, where the search starts; null without factors. The caller owns it.</summary>
    public static Expression? First(Tensor weight, Tensor? fisher, LqLora step, long seed)
    {
        using var scope = NewDisposeScope();
        return step.Rank == 0 ? null : Branch(weight, Sides(fisher, weight.shape), step, seed);
    }

    /// <summary>Q of a matrix; the caller owns it.</summary>
    public static Expression Round(Tensor matrix, LqLora step) => NormalFloatMatrix.Store(matrix, step.Bits, step.BlockSize, scales => OffsetScales.Store(scales, step));

    /// <summary>Square roots of the mean sensitivity of rows and of columns, float64.</summary>
    private static (Tensor Rows, Tensor Columns) Sides(Tensor? fisher, long[] shape) => fisher is null
        ? (ones(shape[0], dtype: float64), ones(shape[1], dtype: float64))
        : (FisherWeighting.Weights(fisher.to(float64).mean([1]), Floor), FisherWeighting.Weights(fisher.to(float64).mean([0]), Floor));

    /// <summary>The product of factors nearest to a matrix in the norm of the sides, as it is stored; the caller owns it.</summary>
    private static Expression Branch(Tensor matrix, (Tensor Rows, Tensor Columns) sides, LqLora step, long seed)
    {
        using var scope = NewDisposeScope();
        var found = FisherWeighting.Of(matrix.to(float64), sides.Rows, sides.Columns, step.Axis, step.Rank, SigmaFuse.Both, step.Accuracy, seed).Factors;
        double share = 1 / Math.Sqrt(step.Scaling);
        var (b, a) = new FactorPair(found.B * share, found.A * share).To(Dtypes.Of(step.FactorType));
        if (!b.isfinite().all().item<bool>() || !a.isfinite().all().item<bool>())
        {
            throw new InvalidOperationException("a factor does not fit float16; use 'factorType: bfloat16'");
        }

        var product = new Product(new Dense(b), new Dense(a));
        return step.Scaling == 1 ? product : new Scaled(null, product, null, step.Scaling);
    }
}
