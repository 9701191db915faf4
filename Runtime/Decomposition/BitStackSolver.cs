using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>Any-size decomposition (BitStack, arXiv:2410.23918): W diag(s) as a sum of sign-and-low-rank blocks, divided by s again in the layer itself.</summary>
/// <remarks>
/// The unfused form: 1/s stays beside the blocks, no norm or layer before this one is rewritten, so it holds for any model.
/// Facts: <c>blocks</c>; <c>rank</c> of a block; <c>scaledError</c>, ‖R_L‖ / ‖R_0‖ with unrounded factors; <c>relativeError</c> of the stored weight.
/// </remarks>
public sealed class BitStackSolver : LayerSolver<BitStack>
{
    /// <inheritdoc/>
    public override int Version => 1;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, BitStack step)
    {
        using var scope = NewDisposeScope();
        var layer = new LowRankWeight(problem);
        var weight = layer.Exact();
        var scale = step.ScaleWeight ? Scale(problem.Statistics.InputNorms!, step.ScaleEps) : null;
        var scaled = scale is null ? weight : weight * scale;
        int rank = step.FactorRank(new LayerShape(LayerKinds.Linear, weight.shape[0], weight.shape[1]));

        var (sum, error) = Decompose(scaled, step.Blocks, rank, step.Plain);
        double whole = scaled.norm().item<double>();
        var facts = new Dictionary<string, double> { ["blocks"] = step.Blocks, ["rank"] = rank, ["scaledError"] = whole > 0 ? error / whole : 0 };
        return layer.Solution(scale is null ? sum : new Scaled(null, sum, (1 / scale).to(float32)), null, [], facts);
    }

    /// <summary>The stored blocks of a matrix and ‖R_L‖; residuals use the factors as they are before rounding.</summary>
    private static (Sum Blocks, double Error) Decompose(Tensor matrix, int count, int rank, bool plain)
    {
        var blocks = new Expression[count];
        var residual = matrix.alias();
        for (int i = 0; i < count; i++)
        {
            using var round = NewDisposeScope();
            using var before = residual;
            var block = ResidualBlock.Of(before, rank, plain);
            blocks[i] = block.Store();
            residual = block.Rest().MoveToOuterDisposeScope();
        }

        return (new Sum(blocks), residual.norm().item<double>());
    }

    /// <summary>s [n] float64 = mean over samples of ‖x_j‖ + eps; in the caller's dispose scope.</summary>
    /// <param name="norms">The means [n] float64.</param>
    /// <param name="eps">What is added.</param>
    public static Tensor Scale(Tensor norms, double eps) => norms + eps;
}
