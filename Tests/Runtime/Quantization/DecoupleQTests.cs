using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Quantization;

public sealed class DecoupleQTests
{
    public static TheoryData<string, DecoupleQ> Steps => new()
    {
        { "2 bits in groups", new DecoupleQ { GroupSize = 6 } },
        { "groups that do not divide the row", new DecoupleQ { GroupSize = 7 } },
        { "a group longer than the row", new DecoupleQ { GroupSize = 64 } },
        { "rows", new DecoupleQ { Bits = 3, Granularity = Granularity.Channel } },
        { "symmetric rows", new DecoupleQ { Bits = 3, Granularity = Granularity.Channel, Symmetric = true } },
        { "symmetric, 2 bits, float32", new DecoupleQ { Granularity = Granularity.Channel, Symmetric = true, ScaleType = ScaleType.Float32 } },
        { "4 bits, natural order", new DecoupleQ { Bits = 4, GroupSize = 9, ActivationOrder = false } },
        { "8 bits", new DecoupleQ { Bits = 8, GroupSize = 9 } },
        { "first level", new DecoupleQ { GroupSize = 6, Rounding = DecoupleRounding.Train, RelaxationSteps = 10, StepsPerColumn = 3, SearchSteps = 20 } },
        { "rounding only", new DecoupleQ { GroupSize = 6, Iterations = 0 } },
        { "one iteration", new DecoupleQ { GroupSize = 6, Iterations = 1 } },
    };

    [Theory]
    [MemberData(nameof(Steps))]
    public void The_loss_never_rises_and_the_bytes_are_predicted(string name, DecoupleQ step)
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(14, 18, LayerProblems.Inputs(18));
        var solution = new DecoupleQSolver().Solve(problem, step);
        solution.Notes.ShouldBeEmpty();
        var losses = solution.Facts.Where(fact => fact.Key is ['l', 'o', 's', 's', >= '0' and <= '9', ..]).OrderBy(fact => fact.Key, StringComparer.Ordinal).Select(fact => fact.Value).ToList();
        losses.Zip(losses.Skip(1)).ShouldAllBe(pair => pair.Second <= pair.First);
        solution.Facts["lossStored"].ShouldBeLessThanOrEqualTo(losses[0] * 1.01, name);
        (losses.Count > 1).ShouldBe(step.Iterations > 0);
        if (step.Iterations > 0)
        {
            solution.Facts["weightedError"].ShouldBeLessThan(solution.Facts["weightedErrorNearest"], name);
        }

        solution.Weight.Bytes.ShouldBe(step.Predict(problem.Shape, [new(14, 18, 14 * 18 * 4)]).Sum(cost => cost.Bytes), name);
        solution.Facts["bitsPerWeight"].ShouldBe(8.0 * solution.Weight.Bytes / (14 * 18));
        var grid = solution.Weight.ShouldBeOfType<Grid>();
        grid.ZeroKind.ShouldBe(step.Symmetric ? ZeroKind.None : ZeroKind.Offset);
        using var copy = Expression.Read(solution.Weight.Describe(), Weights.ExpressionTests.Leaves(solution.Weight));
        Compare.SameBits(copy.Materialize(), solution.Weight.Materialize()).ShouldBeTrue();
        solution.Release();
    }

    [Theory]
    [InlineData(2, ScaleType.Float16)]
    [InlineData(8, ScaleType.Float16)]
    [InlineData(8, ScaleType.Float32)]
    public void The_reported_loss_is_that_of_the_stored_weight(int bits, ScaleType type)
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(10, 16, LayerProblems.Inputs(16));
        var step = new DecoupleQ { Bits = bits, GroupSize = 8, ScaleType = type };
        var solution = new DecoupleQSolver().Solve(problem, step);
        var moments = problem.Statistics.InputMoments!;
        var metric = DecoupledMatrix.Damp(moments.Gram / moments.Count, step.Damping);
        var error = solution.Weight.Materialize().to(float64) - problem.Weight.Materialize().to(float64);
        (error.mm(metric) * error).sum().item<double>().ShouldBeNear(solution.Facts["lossStored"], 1e-6);
        solution.Release();
    }

    [Fact]
    public void Storing_makes_no_row_worse_than_the_start_as_it_would_be_stored()
    {
        using var scope = NewDisposeScope();
        var matrix = Matrix(LayerProblems.Weight(12, 24), Metric(24), bits: 2, group: 6);
        var step = new DecoupleQ();
        var decoupling = new Decoupling(matrix, step);
        var stored = decoupling.Store(decoupling.Run(), float16);
        var none = new Decoupling(matrix, new DecoupleQ { Iterations = 0 });
        (stored.Losses <= none.Store(none.Run(), float16).Losses).all().item<bool>().ShouldBeTrue();
        stored.Scales.eq(stored.Scales.to(float16).to(float32)).all().item<bool>().ShouldBeTrue();
        stored.Offsets.eq(stored.Offsets.to(float16).to(float32)).all().item<bool>().ShouldBeTrue();
    }

    [Fact]
    public void With_unit_inputs_the_grid_of_a_row_is_a_line_of_least_squares_and_rounding_is_plain()
    {
        using var scope = NewDisposeScope();
        var matrix = Matrix(LayerProblems.Weight(7, 20), eye(20, dtype: float64), bits: 3, group: null);
        var start = new Decoupling(matrix, new DecoupleQ()).Start();
        Compare.SameBits(new SecondLevelRounding(matrix, matrix.Order(byStrength: true)).Round(start.Scales, start.Offsets), start.Codes).ShouldBeTrue();

        var (scales, offsets) = new ClosedFormGrid(matrix).Fit(start);
        for (long row = 0; row < 7; row++)
        {
            var design = stack([start.Codes[row].to(float64), ones(20, dtype: float64)], 1);
            var line = linalg.solve(design.mT.mm(design), design.mT.mm(matrix.Weight[row].unsqueeze(1)));
            scales[row].ShouldBeNear(line[0], 1e-10);
            offsets[row].ShouldBeNear(line[1], 1e-10);
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(8)]
    public void A_weight_on_a_grid_that_spans_it_is_reproduced(int bits)
    {
        using var scope = NewDisposeScope();
        long columns = (1L << bits) + 5;
        int lowest = -(1 << (bits - 1));
        var codes = (arange(6 * columns, dtype: int64).mul(7).reshape(6, columns) % (1L << bits)).add(lowest).to(int16);
        var scale = linspace(0.1, 2, 6, dtype: float64).unsqueeze(1);
        var weight = codes.to(float64) * scale + scale * 0.3;
        var matrix = Matrix(weight, Metric(columns), bits, group: null);
        var start = new Decoupling(matrix, new DecoupleQ()).Start();
        Compare.SameBits(start.Codes, codes).ShouldBeTrue();
        start.Losses.max().item<double>().ShouldBeLessThanOrEqualTo(1e-12 * Math.Pow(Compare.Norm(weight), 2));
    }

    [Fact]
    public void One_group_of_the_whole_row_is_the_row_and_smaller_groups_fit_given_codes_no_worse()
    {
        using var scope = NewDisposeScope();
        var (weight, metric) = (LayerProblems.Weight(9, 24), Metric(24));
        var row = Matrix(weight, metric, bits: 2, group: null);
        var start = new Decoupling(row, new DecoupleQ()).Start();
        var losses = start.Losses;
        foreach (int? group in new int?[] { null, 24, 12, 6, 3 })
        {
            var matrix = Matrix(weight, metric, bits: 2, group);
            var grid = matrix.Rate(start.Codes, start.Scales.expand(-1, matrix.Groups).contiguous(), start.Offsets.expand(-1, matrix.Groups).contiguous());
            var (scales, offsets) = new ClosedFormGrid(matrix).Fit(grid);
            var fitted = matrix.Rate(start.Codes, scales, offsets).Losses;
            (fitted <= losses * (1 + 1e-9)).all().item<bool>().ShouldBeTrue();
            if (group == 24)
            {
                fitted.ShouldBeNear(losses, 1e-12);
            }

            losses = fitted;
        }
    }

    [Fact]
    public void Codes_that_never_vary_in_a_group_leave_the_scale_and_fit_the_value()
    {
        using var scope = NewDisposeScope();
        var weight = LayerProblems.Weight(3, 12);
        weight[1, ..6] = 0.37;
        weight[2, ..6] = 0;
        var matrix = Matrix(weight, Metric(12), bits: 2, group: 6);
        var codes = zeros(3, 12, dtype: int16);
        codes[TensorIndex.Colon, 6..] = tensor(new short[] { -2, -1, 0, 1, 0, -1 });
        codes[1, ..6] = 1;
        var (scales, offsets) = new ClosedFormGrid(matrix).Fit(matrix.Rate(codes, full([3, 2], 0.25, dtype: float64), zeros(3, 2, dtype: float64)));
        scales.isfinite().all().item<bool>().ShouldBeTrue();
        scales[0, 0].item<double>().ShouldBe(0.25, 1e-6);

        // Rows 1 and 2 are constant there, so the value itself can be met; the other group cannot.
        var whole = matrix.Rate(codes, scales, offsets);
        var slope = ((codes.to(float64) * matrix.Spread(scales, 0, 3) + matrix.Spread(offsets, 0, 3)) - weight).mm(matrix.Metric);
        matrix.GroupSums(slope).abs().max().item<double>().ShouldBeLessThan(1e-5 * Compare.Norm(matrix.Pull));
        whole.Losses.isfinite().all().item<bool>().ShouldBeTrue();
    }

    [Fact]
    public void Rows_of_zeros_are_met_exactly_and_constant_rows_as_well_as_they_can_be_stored()
    {
        using var scope = NewDisposeScope();
        var weight = LayerProblems.Weight(4, 12);
        weight[0] = 0;
        weight[1] = 0.5;
        weight[2] = -0.25;
        foreach (bool symmetric in new[] { false, true })
        {
            var problem = new LayerProblem("fc", new Dense(weight.to(float32)), null, LayerProblems.Collect(4, LayerProblems.Inputs(12)), 0);
            var solution = new DecoupleQSolver().Solve(problem, new DecoupleQ { Granularity = Granularity.Channel, Symmetric = symmetric });
            var values = solution.Weight.Materialize();
            values[0].abs().max().item<float>().ShouldBe(0);
            values.narrow(0, 1, 2).ShouldBeNear(weight.narrow(0, 1, 2), 1e-3);
            solution.Release();
        }
    }

    [Fact]
    public void Negative_and_vanishing_scales_keep_to_their_box()
    {
        using var scope = NewDisposeScope();
        var matrix = Matrix(LayerProblems.Weight(3, 10), Metric(10), bits: 2, group: null);
        var scales = tensor(new[] { -0.8, 1e-16, 0 }).unsqueeze(1);
        var offsets = tensor(new[] { -0.4, 0.1, 0.2 }).unsqueeze(1);
        var order = matrix.Order(byStrength: true);
        foreach (IGridRounding rounding in new IGridRounding[] { new SecondLevelRounding(matrix, order), new FirstLevelRounding(matrix, order, new DecoupleQ { RelaxationSteps = 5, StepsPerColumn = 2 }) })
        {
            var rows = matrix.Rate(rounding.Round(scales, offsets), scales, offsets);
            rows.Codes.min().item<short>().ShouldBeGreaterThanOrEqualTo((short)-2);
            rows.Codes.max().item<short>().ShouldBeLessThanOrEqualTo((short)1);
            rows.Losses.isfinite().all().item<bool>().ShouldBeTrue();
        }

        // Codes −2 … 1 on a falling grid are 1.2, 0.4, −0.4, −1.2.
        matrix.Nearest(tensor(new[] { 5.0, 0.5, -0.3, -5 }), scales[0], offsets[0]).data<double>().ToArray().ShouldBe([-2, -1, 0, 1]);
    }

    [Fact]
    public void Rounding_goes_half_up()
    {
        using var scope = NewDisposeScope();
        var matrix = Matrix(LayerProblems.Weight(1, 4), eye(4, dtype: float64), bits: 3, group: null);
        var values = tensor(new[] { -1.5, -0.5, 0.5, 1.5 });
        matrix.Nearest(values, ones(1, dtype: float64), zeros(1, dtype: float64)).data<double>().ToArray().ShouldBe([-1, 0, 1, 2]);
    }

    [Fact]
    public void Fewer_tokens_than_features_and_dead_channels_work()
    {
        using var scope = NewDisposeScope();
        var inputs = LayerProblems.Inputs(40, tokens: 2);
        inputs[TensorIndex.Ellipsis, 3..9] = 0;
        var problem = LayerProblems.Make(8, 40, inputs);
        var solution = new DecoupleQSolver().Solve(problem, new DecoupleQ { GroupSize = 8 });
        solution.Facts["weightedError"].ShouldBeLessThan(0.5 * solution.Facts["weightedErrorNearest"]);
        solution.Weight.Materialize().isfinite().all().item<bool>().ShouldBeTrue();
        solution.Release();
    }

    [Fact]
    public void Inputs_that_are_all_zero_count_every_error_alike_with_a_note()
    {
        using var scope = NewDisposeScope();
        var problem = new LayerProblem("fc", new Dense(LayerProblems.Weight(5, 8).to(float32)), null, LayerProblems.Silent(5, 8), 0);
        var solution = new DecoupleQSolver().Solve(problem, new DecoupleQ { GroupSize = 4 });
        solution.Notes.ShouldHaveSingleItem().ShouldContain("all zero");
        solution.Facts["weightedError"].ShouldBe(0);
        solution.Release();
    }

    [Fact]
    public void Weights_that_no_grid_can_hold_are_refused()
    {
        using var scope = NewDisposeScope();
        LayerSolution Solve(double value, ScaleType type) => new DecoupleQSolver().Solve(
            new LayerProblem("fc", new Dense(full([3, 8], value, dtype: float32)), null, LayerProblems.Collect(3, LayerProblems.Inputs(8)), 0),
            new DecoupleQ { GroupSize = 4, ScaleType = type });
        Should.Throw<InvalidOperationException>(() => Solve(double.NaN, ScaleType.Float16)).Message.ShouldBe("the weight holds NaN");
        Should.Throw<InvalidOperationException>(() => Solve(double.PositiveInfinity, ScaleType.Float32)).Message.ShouldBe("the weight holds infinity");
        Should.Throw<InvalidOperationException>(() => Solve(1e9, ScaleType.Float16)).Message.ShouldContain("scaleType: float32");
        Solve(1e9, ScaleType.Float32).Release();
    }

    [Fact]
    public void Factors_are_rounded_with_the_inputs_that_reach_them()
    {
        using var scope = NewDisposeScope();
        var problem = new LayerProblem("fc", new Product(new Dense(LayerProblems.Weight(16, 6)), new Dense(LayerProblems.Weight(6, 20))), null, LayerProblems.Collect(16, LayerProblems.Inputs(20)), 0);
        var solution = new DecoupleQSolver().Solve(problem, new DecoupleQ { Bits = 3, GroupSize = 5 });
        solution.Weight.ShouldBeOfType<Product>().Left.ShouldBeOfType<Grid>();
        solution.Facts["weightedError"].ShouldBeLessThan(solution.Facts["weightedErrorNearest"]);
        solution.Release();
    }

    [Fact]
    public void The_same_layer_gives_the_same_bits_and_leaves_nothing_alive()
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(12, 18, LayerProblems.Inputs(18));
        LayerSolution Solve() => new DecoupleQSolver().Solve(problem, new DecoupleQ { GroupSize = 6, SearchSteps = 10 });
        var (first, second) = (Solve(), Solve());
        Compare.SameBits(first.Weight.Materialize(), second.Weight.Materialize()).ShouldBeTrue();
        first.Release();
        second.Release();
        Formats.TensorCount.GrowthOf(() => Solve().Release()).ShouldBe(0);
    }

    private static DecoupledMatrix Matrix(Tensor weight, Tensor metric, int bits, int? group) => new(
        weight, metric, new(weight.shape[0], weight.shape[1], bits, true, group is null ? Granularity.Channel : Granularity.Group, group ?? 1), symmetric: false);

    private static Tensor Metric(long columns)
    {
        var x = LayerProblems.Inputs(columns).reshape(-1, columns);
        return DecoupledMatrix.Damp(x.mT.mm(x) / x.shape[0], 0.01);
    }
}
