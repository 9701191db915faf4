using PipelineDsl.Runtime.Adapters;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Adapters;

/// <summary>What tensor rings promise.</summary>
public sealed class TloraTests
{
    [Theory]
    [InlineData(new[] { 5 }, 2)]
    [InlineData(new[] { 3, 4 }, 3)]
    [InlineData(new[] { 2, 3, 4 }, 2)]
    public void Contracted_and_applied_rings_are_the_trace_of_their_definition(int[] sizes, int rank)
    {
        using var scope = NewDisposeScope();
        Tensor[] cores = [.. sizes.Select((size, place) => Random(place, size, size, rank, rank))];
        var matrix = RingMatrix.Contract(cores);
        int side = sizes.Aggregate(1, (product, size) => product * size);
        var defined = zeros(side, side, dtype: float64);
        for (int i = 0; i < side; i++)
        {
            for (int j = 0; j < side; j++)
            {
                var chain = eye(rank, dtype: float64);
                int left = side;
                for (int place = 0; place < sizes.Length; place++)
                {
                    left /= sizes[place];
                    chain = chain.mm(cores[place][i / left % sizes[place], j / left % sizes[place]]);
                }

                defined[i, j] = chain.trace();
            }
        }

        matrix.ShouldBeNear(defined, 1e-12);
        var x = Random(7, 2, 3, side);
        RingMatrix.Apply(cores, x).ShouldBeNear(nn.functional.linear(x, matrix), 1e-12);
    }

    [Fact]
    public void With_rank_one_the_matrix_is_the_Kronecker_product_in_order()
    {
        using var scope = NewDisposeScope();
        Tensor[] cores = [Random(1, 2, 2, 1, 1), Random(2, 3, 3, 1, 1), Random(3, 4, 4, 1, 1)];
        RingMatrix.Contract(cores).ShouldBeNear(kron(kron(cores[0].squeeze(), cores[1].squeeze()), cores[2].squeeze()), 1e-14);
    }

    [Fact]
    public void The_cores_of_a_product_with_a_transpose_contract_to_it()
    {
        using var scope = NewDisposeScope();
        Tensor[] left = [Random(1, 2, 2, 2, 2), Random(2, 3, 3, 2, 2)];
        Tensor[] right = [Random(3, 2, 2, 3, 3), Random(4, 3, 3, 3, 3)];
        RingMatrix.Contract(RingMatrix.TimesTransposed(left, right)).ShouldBeNear(RingMatrix.Contract(left).mm(RingMatrix.Contract(right).mT), 1e-12);
    }

    [Theory]
    [InlineData(TloraResidual.Lora)]
    [InlineData(TloraResidual.RingVector)]
    [InlineData(TloraResidual.RingMatrix)]
    public void It_starts_at_the_original_s_output_and_computes_what_it_merges_to(TloraResidual residual)
    {
        using var scope = NewDisposeScope();
        var (weight, x) = (Random(1, 24, 18), Random(2, 5, 18));
        using var adapter = new Tlora { Rank = 2, TransformRank = 2, Residual = residual }.Attach(weight, LayerOperation.Linear, 1);
        adapter.Output(x, null).ShouldBeNear(LayerOperation.Linear.Apply(x, weight), 1e-13);
        adapter.Merge().ShouldBeNear(weight, 1e-14);
        adapter.Moved().ShouldMerge(x, restored: 1e-9);
        adapter.ShouldHaveTrueGradients(x);
    }

    [Fact]
    public void The_residual_s_rank_is_bounded_and_the_transform_s_is_full()
    {
        using var scope = NewDisposeScope();
        var weight = Random(1, 24, 24);
        using var residual = new Tlora { Rank = 2, TransformRank = 0, Residual = TloraResidual.RingVector }.Attach(zeros_like(weight), LayerOperation.Linear, 1).Moved(1);
        linalg.matrix_rank(residual.Merge()).item<long>().ShouldBe(4);
        using var transform = new Tlora { Rank = 2, TransformRank = 2 }.Attach(eye(24, dtype: float64), LayerOperation.Linear, 1).Moved(1);
        linalg.matrix_rank(transform.Merge()).item<long>().ShouldBe(24);
    }

    [Fact]
    public void Without_a_transform_it_is_rank_stabilised_LoRA()
    {
        using var scope = NewDisposeScope();
        var (weight, x, a, b) = (Random(1, 24, 18), Random(2, 5, 18), Random(3, 2, 18), Random(4, 24, 2));
        using var tlora = new Tlora { Rank = 2, TransformRank = 0, Alpha = 3 }.Attach(weight, LayerOperation.Linear, 1).With(a, b);
        using var lora = new Lora { Rank = 2, Alpha = 3, RankStabilized = true }.Attach(weight, LayerOperation.Linear, 1).With(a, b);
        tlora.Output(x, null).ShouldBeNear(lora.Output(x, null), 1e-14);
        using var plain = tlora.AsLowRank()!;
        (weight + plain.B.mm(plain.A).mul(plain.Scaling)).ShouldBeNear(tlora.Merge(), 1e-14);
    }

    [Fact]
    public void A_ring_may_be_cut_anywhere_and_has_free_bases_between_neighbours()
    {
        using var scope = NewDisposeScope();
        Tensor[] cores = [Random(1, 2, 2, 2, 2), Random(2, 3, 3, 2, 2), Random(3, 4, 4, 2, 2)];
        var matrix = RingMatrix.Contract(cores);
        var turned = RingMatrix.Contract([cores[1], cores[2], cores[0]]).reshape(3, 4, 2, 3, 4, 2).permute(2, 0, 1, 5, 3, 4).reshape(24, 24);
        turned.ShouldBeNear(matrix, 1e-12);

        var between = Random(9, 2, 2);
        var inverse = linalg.inv(between);
        RingMatrix.Contract([cores[0].matmul(between), inverse.matmul(cores[1]), cores[2]]).ShouldBeNear(matrix, 1e-11);
    }

    [Fact]
    public void A_multiple_of_the_identity_scales_the_weight_and_a_diagonal_of_factors_is_a_transform()
    {
        using var scope = NewDisposeScope();
        var weight = Random(1, 24, 24);
        var zero = (A: zeros(1, 24, dtype: float64), B: zeros(24, 1, dtype: float64));
        Tensor[] diagonals = [diag(Random(2, 2).abs()), diag(Random(3, 4).abs()), diag(Random(4, 3).abs())];
        using var scaled = new Tlora { Rank = 1, InputShape = "2x4x3" }.Attach(weight, LayerOperation.Linear, 1)
            .With([.. diagonals, zero.A, zero.B]);
        scaled.Merge().ShouldBeNear(weight.mm(kron(kron(diagonals[0], diagonals[1]), diagonals[2])), 1e-13);
        using var doubled = new Tlora { Rank = 1, InputShape = "2x4x3" }.Attach(weight, LayerOperation.Linear, 1)
            .With(eye(2, dtype: float64).mul(2), eye(4, dtype: float64), eye(3, dtype: float64), zero.A, zero.B);
        doubled.Merge().ShouldBeNear(weight.mul(2), 1e-14);
    }

    [Theory]
    [InlineData(320, "5·8·8")]
    [InlineData(64, "4·4·4")]
    [InlineData(172, "4·43")]
    [InlineData(13, "13")]
    [InlineData(1, "1")]
    public void A_width_without_named_factors_gets_some_near_its_cube_root(int width, string factors) => string.Join('·', Tlora.NearCubeRoot(width)).ShouldBe(factors);

    [Fact]
    public void Factors_that_do_not_make_the_width_are_refused()
    {
        using var scope = NewDisposeScope();
        Should.Throw<ArgumentException>(() => new Tlora { InputShape = "2x5" }.Attach(Random(1, 24, 18), LayerOperation.Linear, 1)).Message.ShouldBe("the factors 2x5 do not make the 18 inputs; name others or leave them out");
        Should.Throw<ArgumentException>(() => new Tlora { Residual = TloraResidual.RingMatrix, InputShape = "18" }.Attach(Random(1, 24, 18), LayerOperation.Linear, 1)).Message.ShouldContain("as many factors");
    }

    private static Tensor Random(int seed, params long[] shape) => AdapterChecks.Random(seed, shape);
}
