using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Puts every dense matrix of a weight on a uniform grid with fitted real zero points.</summary>
/// <remarks>Facts: <c>relativeErrorNearest</c>, the relative error that rounding to nearest on an asymmetric grid has, to compare with <c>relativeError</c>.</remarks>
public sealed class HqqSolver : LayerSolver<Hqq>
{
    /// <inheritdoc/>
    public override int Version => 1;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, Hqq step)
    {
        using var scope = NewDisposeScope();
        var notes = new List<string>();
        var weight = problem.Weight.RewriteDense(dense => Store(dense.Matrix, step, notes));
        using var nearest = problem.Weight.RewriteDense(dense => RoundToNearest.Store(dense.Matrix, step));
        var facts = new Dictionary<string, double> { ["relativeErrorNearest"] = MatrixChecks.RelativeError(problem.Weight.Materialize(), nearest.Materialize()) };
        return new(weight, null, facts, [], [.. notes.Distinct()]);
    }

    /// <summary>A matrix on the fitted grid; scales and zero points are rounded to what is stored before the codes are computed.</summary>
    private static Grid Store(Tensor matrix, Hqq step, List<string> notes)
    {
        using var scope = NewDisposeScope();
        MatrixChecks.RequireFinite(matrix, "the weight");
        var geometry = new GridGeometry(matrix.shape[0], matrix.shape[1], step.Bits, false, step.Granularity, step.GroupSize);
        long length = geometry.GroupLength;
        long missing = (length - geometry.Columns % length) % length;
        var values = matrix.to(float64);
        var groups = nn.functional.pad(values, [0, missing], value: double.NaN).reshape(-1, length);
        var fitted = HalfQuadratic.Of(groups, step);
        if (fitted.HasNarrowGroup)
        {
            notes.Add("some weights are so near to each other that HQQ, whose steps are 5e-5 at least, cannot tell them apart; 'quantize' and 'gptq' have smaller steps");
        }

        var dtype = Dtypes.Of(step.ScaleType);
        var scales = (1 / fitted.InverseScales).to(dtype);
        var exact = scales.to(float64);
        exact = where(exact == 0, ones_like(exact), exact);
        var offsets = (-fitted.Zeros / fitted.InverseScales).to(dtype);
        if (!scales.isfinite().all().item<bool>() || !offsets.isfinite().all().item<bool>())
        {
            throw new InvalidOperationException("a scale or zero point does not fit float16; use 'scaleType: float32'");
        }

        var codes = ((nn.functional.pad(values, [0, missing]).reshape(-1, length) - offsets.to(float64)) / exact).round().clamp(0, geometry.Highest);
        return Grid.Pack(geometry, codes.to(int16).reshape(geometry.Rows, -1).narrow(1, 0, geometry.Columns), exact.to(dtype).reshape(geometry.ScaleShape), offsets.reshape(geometry.ScaleShape));
    }
}
