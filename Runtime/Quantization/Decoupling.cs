using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>decoupleQ's first stage (arXiv:2404.12759): integers and floats of a grid are found in turn, and each row keeps what costs it less.</summary>
/// <param name="matrix">The problem.</param>
/// <param name="step">How often, and how.</param>
/// <remarks>All results belong to the caller's dispose scope.</remarks>
internal sealed class Decoupling(DecoupledMatrix matrix, DecoupleQ step)
{
    /// <summary>Alternation ends when a smaller share of the rows than this improves.</summary>
    private const double LeastImproved = 1e-4;

    private readonly List<Tensor> trace = [];
    private SecondLevelRounding? secondLevel;

    /// <summary>Each row's loss [m] of the grid from smallest to largest value, after the first rounding, and after each half of each alternation; non-increasing.</summary>
    public IReadOnlyList<Tensor> Trace => trace;

    /// <summary>Rounding to nearest on the grid from the smallest to the largest value of each group.</summary>
    public DecoupledRows Start()
    {
        var (low, high) = matrix.Ranges();
        return Nearest(matrix.Spanning(low, high));
    }

    /// <summary>Solves the problem in float64.</summary>
    public DecoupledRows Run()
    {
        var rows = Record(Start());
        if (step.Iterations == 0)
        {
            return rows;
        }

        // The first rounding is of the second level always, as in the published code.
        var order = matrix.Order(step.ActivationOrder);
        secondLevel = new(matrix, order);
        rows = Record(rows.Adopt(Rounded(secondLevel, rows.Scales, rows.Offsets)).Rows);
        return step.Iterations == 1 ? rows : Alternate(rows, step.Rounding == DecoupleRounding.Train ? new FirstLevelRounding(matrix, order, step) : secondLevel);
    }

    /// <summary>What was found, as it will be stored: with scales and offsets in their dtype each row keeps its codes, gets new ones or goes back to the start, whichever costs it least.</summary>
    /// <param name="found">What <see cref="Run"/> found.</param>
    /// <param name="type">The stored dtype: float16 or float32.</param>
    /// <returns>Scales and offsets are the stored values in float32.</returns>
    /// <exception cref="InvalidOperationException">A scale or offset does not fit its dtype.</exception>
    public DecoupledRows Store(DecoupledRows found, ScalarType type)
    {
        var (low, high) = matrix.Ranges();
        var start = Stored(matrix.Spanning(low, high), type);
        var (scales, offsets) = Stored((found.Scales, found.Offsets), type);
        var rows = matrix.Rate(found.Codes, scales, offsets);
        if (secondLevel is not null)
        {
            rows = rows.Adopt(Rounded(secondLevel, scales, offsets)).Rows;
        }

        return rows.Adopt(Nearest(start)).Rows;
    }

    private DecoupledRows Alternate(DecoupledRows rows, IGridRounding rounding)
    {
        var closedForm = new ClosedFormGrid(matrix);
        for (int i = 1; i < step.Iterations; i++)
        {
            var (scales, offsets) = i == 1 ? closedForm.Fit(Shrunk()) : (rows.Scales, rows.Offsets);
            (rows, long improved) = rows.Adopt(Rounded(rounding, scales, offsets));
            Record(rows);
            if (improved < LeastImproved * matrix.Grid.Rows)
            {
                break;
            }

            (scales, offsets) = closedForm.Fit(rows);
            (rows, improved) = rows.Adopt(matrix.Rate(rows.Codes, scales, offsets));
            Record(rows);
            if (improved < LeastImproved * matrix.Grid.Rows)
            {
                break;
            }
        }

        return rows;
    }

    /// <summary>The grid whose ends lie closer together, by the same factor in all groups of a row, that costs the row least when rounded to nearest.</summary>
    private DecoupledRows Shrunk()
    {
        using var scope = NewDisposeScope();
        var (low, high) = matrix.Ranges();
        var best = Nearest(matrix.Spanning(low, high));
        for (int i = 1; i < Math.Round(step.SearchSteps * step.LargestShrink); i++)
        {
            double factor = 1 - (double)i / step.SearchSteps;
            using var inner = NewDisposeScope();
            best = best.Adopt(Nearest(matrix.Spanning(low * factor, high * factor))).Rows;
            best.MoveToOuterScope();
        }

        best.MoveToOuterScope();
        return best;
    }

    private DecoupledRows Nearest((Tensor Scales, Tensor Offsets) grid) => matrix.Rate(matrix.NearestCodes(grid.Scales, grid.Offsets), grid.Scales, grid.Offsets);

    private DecoupledRows Rounded(IGridRounding rounding, Tensor scales, Tensor offsets) =>
        matrix.Rate(rounding.Round(scales.to(float64), offsets.to(float64)), scales, offsets);

    private static (Tensor Scales, Tensor Offsets) Stored((Tensor Scales, Tensor Offsets) grid, ScalarType type)
    {
        var (scales, offsets) = (grid.Scales.to(type).to(float32), grid.Offsets.to(type).to(float32));
        return scales.isfinite().all().item<bool>() && offsets.isfinite().all().item<bool>()
            ? (scales, offsets)
            : throw new InvalidOperationException($"a scale or offset does not fit {type}; use 'scaleType: float32'");
    }

    private DecoupledRows Record(DecoupledRows rows)
    {
        trace.Add(rows.Losses);
        return rows;
    }
}
