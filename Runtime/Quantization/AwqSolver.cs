using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Puts every dense matrix of a weight on a uniform grid after scaling its columns as the inputs' strength says, or rounds to nearest where that has the smaller error of the outputs.</summary>
/// <remarks>
/// Facts: <c>exponent</c> of the magnitudes, and those of <see cref="NearestChoice"/>. Matrices inside a product take the root of the second moment as their magnitudes: the means are
/// known for the layer's inputs alone.
/// </remarks>
public sealed class AwqSolver : LayerSolver<Awq>
{
    /// <inheritdoc/>
    public override int Version => 2;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, Awq step)
    {
        using var scope = NewDisposeScope();
        var moments = problem.Statistics.InputMoments ?? throw new InvalidOperationException("no input moments were collected for the layer");
        var magnitudes = problem.Statistics.InputMagnitudes?.Means ?? throw new InvalidOperationException("no input magnitudes were collected for the layer");
        var facts = new Dictionary<string, double>();
        var weight = InputAware.Rewrite(problem.Weight, moments.Gram, (dense, gram) =>
        {
            using var inner = NewDisposeScope();
            return Store(dense.Matrix, gram, ReferenceEquals(dense, problem.Weight) ? magnitudes : (gram.diagonal().clamp_min(0) / Math.Max(1, moments.Count)).sqrt(), step, facts);
        });
        var nearest = problem.Weight.RewriteDense(dense => new Scaled(null, RoundToNearest.Store(dense.Matrix, step), ones(dense.Columns)));
        return NearestChoice.Of(problem, weight, nearest, moments.Gram, facts, []);
    }

    private static Scaled Store(Tensor matrix, Tensor gram, Tensor magnitudes, Awq step, Dictionary<string, double> facts)
    {
        MatrixChecks.RequireFinite(matrix, "the weight");
        var dtype = Dtypes.Of(step.ScaleType);
        var weight = matrix.to(float64);
        var (scales, exponent, _) = ActivationAware.Search(weight, gram, magnitudes, step, dtype);
        facts["exponent"] = exponent;

        // The inverse is what is stored, so the columns are scaled by what undoes it.
        var inverse = (1 / scales).to(float32);
        scales = 1 / inverse.to(float64);
        var scaled = weight * scales;
        if (step.Clip)
        {
            scaled = ActivationAware.Clip(scaled, gram / scales / scales.unsqueeze(1), step, dtype);
        }

        var geometry = new GridGeometry(weight.shape[0], weight.shape[1], step.Bits, false, step.Granularity, step.GroupSize);
        var rounded = ActivationAware.Round(scaled, step, dtype);
        if (!rounded.Scales.isfinite().all().item<bool>())
        {
            throw new InvalidOperationException("a scale does not fit float16; use 'scaleType: float32'");
        }

        var grid = Grid.Pack(geometry, rounded.Codes.to(int16), rounded.Scales.to(dtype).contiguous(), rounded.Zeros.to(uint8).contiguous());
        return new Scaled(null, grid, inverse);
    }
}
