using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>The scales and offsets that suit given codes best: the minimum of a quadratic form in 2·groups numbers a row (decoupleQ, arXiv:2404.12759, eq. 7).</summary>
internal sealed class ClosedFormGrid
{
    /// <summary>Codes of a group that (almost) never vary leave scale and offset undetermined: a pivot of the system, scaled to a diagonal of ones, below this.</summary>
    private const double SmallestPivot = 1e-12;

    /// <summary>What is then added to that diagonal: enough to decide, too little to move what the codes do decide.</summary>
    private const double Damping = 1e-8;

    private readonly DecoupledMatrix matrix;
    private readonly Tensor columnSums;
    private readonly Tensor groupSums;

    /// <summary>Prepares what all rows share; tensors belong to the caller's dispose scope.</summary>
    public ClosedFormGrid(DecoupledMatrix matrix)
    {
        this.matrix = matrix;
        columnSums = matrix.GroupSums(matrix.Metric);
        groupSums = matrix.GroupSums(columnSums.mT.contiguous());
    }

    /// <summary>Fits the grid of each row to its codes.</summary>
    /// <param name="rows">The codes; their grid decides what the codes leave undetermined.</param>
    /// <returns>s and z [m, groups] float64.</returns>
    public (Tensor Scales, Tensor Offsets) Fit(DecoupledRows rows)
    {
        using var scope = NewDisposeScope();
        long unknowns = matrix.IsSymmetric ? matrix.Groups : 2 * matrix.Groups;
        var solutions = matrix.ByRows(matrix.Grid.Columns + 3 * unknowns * unknowns, (first, count) =>
        {
            var codes = rows.Codes.narrow(0, first, count).to(float64);
            var pull = matrix.Pull.narrow(0, first, count);
            var (system, right) = System(codes, pull);
            var parts = matrix.IsSymmetric ? [rows.Scales] : new[] { rows.Scales, rows.Offsets };
            return Solve(system, right, cat([.. parts.Select(part => part.narrow(0, first, count).to(float64))], 1));
        });
        var scales = solutions.narrow(1, 0, matrix.Groups).contiguous();
        var offsets = matrix.IsSymmetric ? zeros_like(scales) : solutions.narrow(1, matrix.Groups, matrix.Groups).contiguous();
        return (scales.MoveToOuterDisposeScope(), offsets.MoveToOuterDisposeScope());
    }

    /// <summary>P and y of P (s, z) = y: with a_g the codes of group g and e_g ones in it, both zero elsewhere, entries are a_g H a_h, a_g H e_h, e_g H e_h and a_g H w, e_g H w.</summary>
    private (Tensor System, Tensor Right) System(Tensor codes, Tensor pull)
    {
        var (count, groups) = (codes.shape[0], matrix.Groups);
        var codeByCode = zeros(count, groups, groups, dtype: float64);
        var codeByOne = zeros(count, groups, groups, dtype: float64);
        for (long group = 0; group < groups; group++)
        {
            // One strip of H at a time, so that no tensor of rows × groups × columns is ever made.
            using var scope = NewDisposeScope();
            long start = group * matrix.Grid.GroupLength;
            long length = Math.Min(matrix.Grid.GroupLength, matrix.Grid.Columns - start);
            var own = codes.narrow(1, start, length);
            codeByCode.select(1, group).copy_(matrix.GroupSums(own.mm(matrix.Metric.narrow(0, start, length)) * codes));
            codeByOne.select(1, group).copy_(own.mm(columnSums.narrow(0, start, length)));
        }

        var right = matrix.GroupSums(codes * pull);
        if (matrix.IsSymmetric)
        {
            return (codeByCode, right);
        }

        var top = cat([codeByCode, codeByOne], 2);
        var bottom = cat([codeByOne.mT, groupSums.unsqueeze(0).expand(count, -1, -1)], 2);
        return (cat([top, bottom], 1), cat([right, matrix.GroupSums(pull)], 1));
    }

    /// <summary>Solves for the change against the grid at hand, which stays where the codes decide nothing.</summary>
    private static Tensor Solve(Tensor system, Tensor right, Tensor current)
    {
        var diagonal = system.diagonal(0, 1, 2);
        var scale = where(diagonal > 0, diagonal.clamp_min(double.Epsilon).rsqrt(), ones_like(diagonal));
        var scaled = (system + system.mT) / 2 * scale.unsqueeze(1) * scale.unsqueeze(2);
        var residual = (right - system.matmul(current.unsqueeze(2)).squeeze(2)) * scale;
        var (factor, info) = linalg.cholesky_ex(scaled, check_errors: false);
        var pivots = factor.diagonal(0, 1, 2).square().amin(-1);
        var singular = info.ne(0).logical_or(pivots.gt(SmallestPivot).logical_not());
        if (singular.any().item<bool>())
        {
            var shift = singular.to(float64).reshape(-1, 1, 1) * (Damping * eye(scaled.shape[1], dtype: float64));
            (factor, _) = linalg.cholesky_ex(scaled + shift, check_errors: false);
        }

        return current + residual.unsqueeze(2).cholesky_solve(factor).squeeze(2) * scale;
    }
}
