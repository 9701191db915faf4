using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>The first-level approximation of decoupleQ (arXiv:2404.12759): relaxes the integers to their box, then fixes column by column while the columns still free adapt.</summary>
/// <remarks>Costs stepsPerColumn · m · n³ / 3 multiplications: for layers of a few hundred columns.</remarks>
internal sealed class FirstLevelRounding : IGridRounding
{
    private const double RelaxationEpsilon = 1e-5;
    private const double ColumnEpsilon = 1e-4;

    /// <summary>The learning rate after columns are fixed is not the user's, as in the published code.</summary>
    private const double ColumnRate = 1e-3;

    private readonly DecoupledMatrix matrix;
    private readonly DecoupleQ step;
    private readonly Tensor order;
    private readonly Tensor weight;
    private readonly Tensor metric;

    /// <summary>Prepares what all grids share; tensors belong to the caller's dispose scope.</summary>
    /// <param name="matrix">The problem.</param>
    /// <param name="order">The order in which columns are fixed [n] int64.</param>
    /// <param name="step">Numbers of steps and the learning rate.</param>
    public FirstLevelRounding(DecoupledMatrix matrix, Tensor order, DecoupleQ step)
    {
        this.matrix = matrix;
        this.step = step;
        this.order = order;
        weight = matrix.Weight.index_select(1, order).mT.contiguous();
        metric = matrix.Metric.index_select(0, order).index_select(1, order);
    }

    /// <inheritdoc/>
    public Tensor Round(Tensor scales, Tensor offsets)
    {
        using var scope = NewDisposeScope();
        var groups = order.floor_divide(matrix.Grid.GroupLength);
        var (scale, offset) = (scales.mT.index_select(0, groups), offsets.mT.index_select(0, groups));
        var (one, other) = (scale * matrix.Grid.Lowest + offset, scale * matrix.Grid.Highest + offset);
        var box = new Box(weight.clone(), minimum(one, other), maximum(one, other));
        Relax(box);
        var codes = Fix(box, scale, offset);
        return codes.index_select(0, order.argsort()).mT.contiguous().to(int16).MoveToOuterDisposeScope();
    }

    private void Relax(Box box)
    {
        for (int i = 0; i < step.RelaxationSteps; i++)
        {
            using var scope = NewDisposeScope();
            box.Step(0, metric.mm(box.Values - weight), step.RelaxationRate, RelaxationEpsilon);
        }
    }

    private Tensor Fix(Box box, Tensor scale, Tensor offset)
    {
        long columns = weight.shape[0];
        var codes = empty_like(weight);

        // (w − W) H of the columns that are fixed, for those that are free: a column adds to it once, when it is fixed.
        var settled = zeros_like(weight);
        for (long i = 0; i < columns; i++)
        {
            using var scope = NewDisposeScope();
            var code = matrix.Nearest(box.Values[i], scale[i], offset[i]);
            codes[i].copy_(code);
            long free = columns - i - 1;
            if (free == 0)
            {
                break;
            }

            var error = code * scale[i] + offset[i] - weight[i];
            var open = settled.narrow(0, i + 1, free);
            open.addmm_(metric.narrow(0, i + 1, free).narrow(1, i, 1), error.unsqueeze(0));
            var inner = metric.narrow(0, i + 1, free).narrow(1, i + 1, free);
            for (int k = 0; k < step.StepsPerColumn; k++)
            {
                using var pass = NewDisposeScope();
                var moved = box.Values.narrow(0, i + 1, free) - weight.narrow(0, i + 1, free);
                box.Step(i + 1, inner.mm(moved).add_(open), ColumnRate, ColumnEpsilon);
            }
        }

        return codes;
    }

    /// <summary>Values [n, m] that Adam moves inside a box; columns drop out from the front.</summary>
    private sealed class Box(Tensor values, Tensor low, Tensor high)
    {
        private const double Beta1 = 0.9;
        private const double Beta2 = 0.999;

        private readonly Tensor mean = zeros_like(values);
        private readonly Tensor square = zeros_like(values);
        private int steps;

        public Tensor Values => values;

        /// <summary>One step of Adam (arXiv:1412.6980) on the columns from the first on, whose gradient is given, and back into the box.</summary>
        public void Step(long first, Tensor gradient, double rate, double epsilon)
        {
            steps++;
            long count = values.shape[0] - first;
            var (m, v, x) = (mean.narrow(0, first, count), square.narrow(0, first, count), values.narrow(0, first, count));
            m.mul_(Beta1).add_(gradient, alpha: 1 - Beta1);
            v.mul_(Beta2).addcmul_(gradient, gradient, 1 - Beta2);
            var divisor = (v.sqrt() / Math.Sqrt(1 - Math.Pow(Beta2, steps))).add_(epsilon);
            x.addcdiv_(m, divisor, -rate / (1 - Math.Pow(Beta1, steps)));
            x.copy_(minimum(maximum(x, low.narrow(0, first, count)), high.narrow(0, first, count)));
        }
    }
}
