using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Codes of a grid chosen column by column, each column's error spread over the ones that follow (GPTQ, arXiv:2210.17323, algorithm 1).</summary>
/// <param name="Codes">[rows, columns] int16 from 0, in the order of the original columns.</param>
/// <param name="Scales">[rows, groups] float64, rounded to the dtype asked for.</param>
/// <param name="Zeros">[rows, groups] float64 integers.</param>
/// <param name="Order">The column that was rounded at each position [columns] int64.</param>
/// <param name="Groups">The group of each original column [columns] int64.</param>
/// <param name="Loss">Σ e² / 2, e = (w − q) / U_ii.</param>
/// <param name="Damping">The damping that was needed.</param>
/// <remarks>
/// Groups that are not static get their range when their first column is reached, from the weight as blocks before this one left it: updates inside the block are not seen, as in the official code.
/// Tensors belong to the caller's dispose scope.
/// </remarks>
public sealed record GptqRounding(Tensor Codes, Tensor Scales, Tensor Zeros, Tensor Order, Tensor Groups, double Loss, double Damping)
{
    /// <summary>Rounds a matrix.</summary>
    /// <param name="weight">W [rows, columns].</param>
    /// <param name="hessian">H = 2/N Σ x xᵀ [columns, columns] float64; another factor changes the loss alone.</param>
    /// <param name="settings">Grid, damping and order.</param>
    /// <param name="grid">Scales and zero points [rows, groups] float64 to round with, for groups that are static; null for those of the settings.</param>
    /// <exception cref="InvalidOperationException">Weight or H hold NaN or infinity, or a scale does not fit its dtype.</exception>
    public static GptqRounding Of(Tensor weight, Tensor hessian, GptqSettings settings, (Tensor Scales, Tensor Zeros)? grid = null)
    {
        using var scope = NewDisposeScope();
        MatrixChecks.RequireFinite(weight, "the weight");
        MatrixChecks.RequireFinite(hessian, "the second moment of the inputs");
        var work = weight.to(float64, copy: true);
        var h = hessian.clone();
        var dead = h.diagonal() == 0;
        h.diagonal().masked_fill_(dead, 1);
        work.masked_fill_(dead, 0);
        long columns = work.shape[1];
        bool ordered = settings.ActivationOrder;
        var order = ordered ? h.diagonal().sort(descending: true, stable: true).Indices : arange(columns, dtype: int64);
        bool original = settings.StaticGroups || !ordered || settings.Grid.Granularity != Granularity.Group;
        long length = settings.Grid.GroupLength;
        var fixedGrid = grid ?? (settings.StaticGroups || settings.Grid.Granularity == Granularity.Tensor ? RoundingGrid.Of(settings.Grid.Cut(work), settings) : default((Tensor Scales, Tensor Zeros)?));
        if (ordered)
        {
            work = work.index_select(1, order).contiguous();
            h = h.index_select(0, order).index_select(1, order);
        }

        var factor = InverseFactor.Of(h, settings.Damping);
        var positions = arange(columns, dtype: int64).div(length, RoundingMode.floor);
        var groupOfPosition = original && ordered ? order.div(length, RoundingMode.floor) : positions;
        var pass = new Pass(work, factor.Upper, groupOfPosition, settings, fixedGrid);
        pass.Run();
        var inverse = order.argsort();
        var groups = groupOfPosition.index_select(0, inverse);
        return new(
            pass.Codes.index_select(1, inverse).MoveToOuterDisposeScope(),
            pass.Scales.MoveToOuterDisposeScope(),
            pass.Zeros.MoveToOuterDisposeScope(),
            order.MoveToOuterDisposeScope(),
            groups.MoveToOuterDisposeScope(),
            pass.Loss,
            factor.Damping);
    }

    /// <summary>The matrix on the grid, its columns in the order in which they are stored; the caller owns it.</summary>
    /// <param name="settings">The settings it was rounded with.</param>
    public Expression Store(GptqSettings settings)
    {
        using var scope = NewDisposeScope();
        bool permuted = settings is { ActivationOrder: true, StaticGroups: false, Grid.Granularity: Granularity.Group };
        var codes = permuted ? Codes.index_select(1, Order) : Codes;
        var (scales, zeros) = settings.Grid.Granularity == Granularity.Tensor ? (Scales[..1, ..1], Zeros[..1, ..1]) : (Scales, Zeros);
        codes = settings.Grid.Signed ? codes - (short)(1 << (settings.Grid.Bits - 1)) : codes;
        var grid = Grid.Pack(settings.Grid, codes, scales.to(settings.ScaleType).contiguous(), settings.Grid.Signed ? null : zeros.to(uint8).contiguous());
        return permuted ? new Permuted(grid, Order.to(int32)) : grid;
    }

    /// <summary>The matrix that codes, scales and zero points stand for [rows, columns] float64; the caller owns it.</summary>
    public Tensor Dequantize()
    {
        using var scope = NewDisposeScope();
        return ((Codes.to(float64) - Zeros.index_select(1, Groups)) * Scales.index_select(1, Groups)).MoveToOuterDisposeScope();
    }

    /// <summary>One pass over the columns, block by block.</summary>
    private sealed class Pass
    {
        private readonly Tensor work;
        private readonly Tensor upper;
        private readonly GptqSettings settings;
        private readonly int[] groups;
        private readonly bool chosenBefore;

        public Pass(Tensor work, Tensor upper, Tensor groups, GptqSettings settings, (Tensor Scales, Tensor Zeros)? grid)
        {
            this.work = work;
            this.upper = upper;
            this.settings = settings;
            this.groups = [.. groups.data<long>().ToArray().Select(group => (int)group)];
            long count = (work.shape[1] - 1) / settings.Grid.GroupLength + 1;
            chosenBefore = grid is not null;
            Scales = grid?.Scales.contiguous() ?? ones(work.shape[0], count, dtype: float64);
            Zeros = grid?.Zeros.contiguous() ?? zeros(work.shape[0], count, dtype: float64);
            Codes = empty(work.shape[0], work.shape[1], dtype: int16);
        }

        public Tensor Codes { get; }

        public Tensor Scales { get; }

        public Tensor Zeros { get; }

        public double Loss { get; private set; }

        public void Run()
        {
            long columns = work.shape[1];
            for (long first = 0; first < columns; first += settings.BlockSize)
            {
                using var scope = NewDisposeScope();
                long count = Math.Min(settings.BlockSize, columns - first);
                ChooseGrids(first, count);
                var errors = RoundBlock(first, count);
                if (first + count < columns)
                {
                    long rest = columns - first - count;
                    work.narrow(1, first + count, rest).addmm_(errors, upper.narrow(0, first, count).narrow(1, first + count, rest), alpha: -1);
                }
            }
        }

        /// <summary>Grids of the groups that begin in the block.</summary>
        private void ChooseGrids(long first, long count)
        {
            long length = settings.Grid.GroupLength;
            for (long group = (first + length - 1) / length; !chosenBefore && group * length < first + count; group++)
            {
                long start = group * length;
                var (scales, zeros) = RoundingGrid.Of(work.narrow(1, start, Math.Min(length, work.shape[1] - start)).unsqueeze(1), settings);
                Scales.narrow(1, group, 1).copy_(scales);
                Zeros.narrow(1, group, 1).copy_(zeros);
            }
        }

        /// <summary>Rounds the columns of a block, row by row: rows know nothing of each other.</summary>
        /// <returns>The scaled errors [rows, count].</returns>
        private Tensor RoundBlock(long first, long count)
        {
            int width = (int)count;
            var block = work.narrow(1, first, count).contiguous();
            var codes = empty(block.shape[0], count, dtype: int16);
            var spread = Doubles(upper.narrow(0, first, count).narrow(1, first, count).contiguous());
            var values = Doubles(block);
            var scales = Doubles(Scales);
            var zeros = Doubles(Zeros);
            var chosen = MemoryMarshal.Cast<byte, short>(codes.bytes);
            var columns = groups.AsSpan((int)first, width);
            int lines = (int)Scales.shape[1];
            for (int row = 0; row < block.shape[0]; row++)
            {
                Loss += RoundRow(values.Slice(row * width, width), chosen.Slice(row * width, width), spread, columns, scales.Slice(row * lines, lines), zeros.Slice(row * lines, lines), settings.Steps);
            }

            Codes.narrow(1, first, count).copy_(codes);
            return block;
        }

        /// <summary>Rounds one row of a block and leaves the errors in place of the values.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static double RoundRow(Span<double> values, Span<short> codes, ReadOnlySpan<double> spread, ReadOnlySpan<int> groups, ReadOnlySpan<double> scales, ReadOnlySpan<double> zeros, int steps)
        {
            double loss = 0;
            int width = values.Length;
            for (int i = 0; i < width; i++)
            {
                var line = spread.Slice(i * width, width);
                double scale = scales[groups[i]];
                double zero = zeros[groups[i]];
                double code = Math.Clamp(Math.Round(values[i] / scale) + zero, 0, steps);
                double error = (values[i] - scale * (code - zero)) / line[i];
                codes[i] = (short)code;
                loss += error * error / 2;
                Subtract(values[(i + 1)..], line[(i + 1)..], error);
                values[i] = error;
            }

            return loss;
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Subtract(Span<double> values, ReadOnlySpan<double> line, double error)
        {
            int lanes = Vector<double>.Count;
            var factor = new Vector<double>(error);
            int i = 0;
            for (; i <= values.Length - lanes; i += lanes)
            {
                (new Vector<double>(values[i..]) - factor * new Vector<double>(line[i..])).CopyTo(values[i..]);
            }

            for (; i < values.Length; i++)
            {
                values[i] -= error * line[i];
            }
        }

        private static Span<double> Doubles(Tensor tensor) => MemoryMarshal.Cast<byte, double>(tensor.bytes);
    }
}
