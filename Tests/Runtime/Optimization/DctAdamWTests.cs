using PipelineDsl.Runtime.Optimization;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Optimization;

public sealed class DctAdamWTests
{
    private static readonly DctAdamW Rule = new(0.05) { Rank = 3, WeightDecay = 0.1 };

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(12)]
    [InlineData(64)]
    public void The_basis_is_orthogonal_and_the_fast_transform_is_its_product(long size)
    {
        using var scope = NewDisposeScope();
        var basis = DctBasis.Of(size, float64, CPU);
        basis.mm(basis.mT).ShouldBeNear(eye(size, dtype: float64), 1e-12);
        var rows = randn(4, size, dtype: float64, generator: new Generator(1));
        DctBasis.Makhoul(rows).ShouldBeNear(rows.mm(basis.mT), 1e-12);
    }

    [Fact]
    public void The_squared_norm_chooses_the_directions_that_lose_least()
    {
        using var scope = NewDisposeScope();
        var gradient = randn(9, 8, dtype: float64, generator: new Generator(2));
        var scores = gradient.mm(DctBasis.Of(8, float64, CPU).mT);
        double[] energies = scores.square().sum([0]).data<double>().ToArray();
        var (_, state) = Trajectory.Run(Rule, zeros_like(gradient), gradient.unsqueeze(0));
        long[] chosen = state["0.indices"].to(int64).data<long>().ToArray();
        chosen.ShouldBe(chosen.Order());
        double whole = gradient.square().sum().item<double>();
        double residual = whole - chosen.Sum(index => energies[index]);
        var directions = DctBasis.Of(8, float64, CPU).index_select(0, state["0.indices"].to(int64));
        (gradient - gradient.mm(directions.mT).mm(directions)).square().sum().item<double>().ShouldBe(residual, 1e-10 * whole);
        double best = Subsets(8, 3).Min(subset => whole - subset.Sum(index => energies[index]));
        residual.ShouldBe(best, 1e-10 * whole);
        residual.ShouldBeLessThanOrEqualTo((1 - (3.0 / 8)) * whole);
        residual.ShouldBeGreaterThanOrEqualTo(linalg.svdvals(gradient).narrow(0, 3, 5).square().sum().item<double>());
    }

    [Theory]
    [InlineData(ErrorFeedback.None)]
    [InlineData(ErrorFeedback.Full)]
    public void A_transposed_matrix_moves_as_the_transpose(ErrorFeedback feedback)
    {
        using var scope = NewDisposeScope();
        var (start, gradients) = (randn(9, 6, dtype: float64, generator: new Generator(1)), randn(8, 9, 6, dtype: float64, generator: new Generator(2)));
        var rule = Rule with { ErrorFeedback = feedback, Gap = 2 };
        Trajectory.Of(rule, start.mT.contiguous(), gradients.mT.contiguous()).mT.ShouldBeNear(Trajectory.Of(rule, start, gradients), 1e-12);
    }

    [Fact]
    public void Moments_follow_their_directions_as_the_product_of_the_bases_says()
    {
        using var scope = NewDisposeScope();
        var gradients = randn(6, 9, 6, dtype: float64, generator: new Generator(3));
        var basis = DctBasis.Of(6, float64, CPU).mT;
        var (mean, square, value) = (zeros(9, 3, dtype: float64), zeros(9, 3, dtype: float64), zeros(9, 6, dtype: float64));
        Tensor? last = null;
        for (int step = 1; step <= 6; step++)
        {
            var scores = gradients[step - 1].mm(basis);
            var indices = scores.square().sum([0]).sort(descending: true, stable: true).Indices.narrow(0, 0, 3).sort().Values;
            var directions = basis.index_select(1, indices);
            if (last is not null)
            {
                var rotation = last.mT.mm(directions);
                (mean, square) = (mean.mm(rotation), square.mm(rotation).abs());
            }

            last = directions;
            var projected = gradients[step - 1].mm(directions);
            mean = (mean * 0.9) + (projected * 0.1);
            square = (square * 0.999) + (projected.square() * 0.001);
            var update = mean / (1 - Math.Pow(0.9, step)) / ((square / (1 - Math.Pow(0.999, step))).sqrt() + 1e-8);
            value = (value * (1 - 0.005)) - (update.mm(directions.mT) * 0.05);
        }

        var (values, state) = Trajectory.Run(Rule, zeros(9, 6, dtype: float64), gradients);
        values[-1].ShouldBeNear(value, 1e-12);
        state["0.square"].min().item<double>().ShouldBeGreaterThanOrEqualTo(0);
    }

    [Fact]
    public void What_the_projection_loses_is_kept_exactly_and_is_nothing_at_full_rank()
    {
        using var scope = NewDisposeScope();
        var gradient = randn(9, 6, dtype: float64, generator: new Generator(4));
        Tensor Error(int rank, out Tensor projected)
        {
            var (_, state) = Trajectory.Run(Rule with { Rank = rank, ErrorFeedback = ErrorFeedback.Full }, zeros(9, 6, dtype: float64), gradient.unsqueeze(0));
            var directions = DctBasis.Of(6, float64, CPU).mT.index_select(1, state["0.indices"].to(int64));
            projected = gradient.mm(directions).mm(directions.mT);
            return state["0.error"];
        }

        (Error(2, out var kept) + kept).ShouldBeNear(gradient, 1e-14);
        Error(6, out _).abs().max().item<double>().ShouldBeLessThan(1e-14);
    }

    [Fact]
    public void Vectors_and_oversized_matrices_are_moved_by_AdamW()
    {
        using var scope = NewDisposeScope();
        var adamW = new AdamW(0.05) { WeightDecay = 0.1 };
        foreach (var (start, rule) in new[] { (ones(7, dtype: float64), Rule), (ones(7, 5, dtype: float64), Rule with { LargestSide = 7 }) })
        {
            var gradients = randn([6, .. start.shape], dtype: float64, generator: new Generator(5));
            Trajectory.Of(rule, start, gradients).ShouldBeNear(Trajectory.Of(adamW, start, gradients), 1e-15);
        }
    }

    [Fact]
    public void State_takes_the_bytes_of_the_formula_and_layers_share_a_basis()
    {
        using var scope = NewDisposeScope();
        using var optimizer = new Optimizer([new(Rule, [Trajectory.Leaf(ones(20, 12), out var a), Trajectory.Leaf(ones(12, 30), out var b)])]);
        (a.grad, b.grad) = (randn(20, 12, generator: new Generator(6)), randn(12, 30, generator: new Generator(7)));
        optimizer.Step(1);
        optimizer.StateBytes.ShouldBe(4 * ((2 * 3 * 20) + 3 + (2 * 3 * 30) + 3));
        DctBasis.Of(12, float32, CPU).ShouldBeSameAs(DctBasis.Of(12, float32, CPU));
    }

    private static IEnumerable<int[]> Subsets(int size, int count) => Enumerable.Range(0, 1 << size)
        .Where(mask => System.Numerics.BitOperations.PopCount((uint)mask) == count)
        .Select(mask => Enumerable.Range(0, size).Where(index => (mask >> index & 1) == 1).ToArray());
}
