using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Packing;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Tests.Weights;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Quantization;

public sealed class SqueezeLlmTests
{
    public static TheoryData<int, double, ScaleType> Sizes => new MatrixTheoryData<int, double, ScaleType>([2, 3, 4, 8], [0, 0.01, 0.1], Enum.GetValues<ScaleType>());

    [Theory]
    [MemberData(nameof(Sizes))]
    public void A_share_is_met_exactly_and_bytes_are_as_predicted(int bits, double share, ScaleType type)
    {
        using var scope = NewDisposeScope();
        var step = new SqueezeLlm { Bits = bits, SparseFraction = share, SensitiveFraction = share / 2, TableType = type, SparseType = type };
        var solution = Solve(Forms.Dense(12, 33), step);
        solution.Facts["keptWeights"].ShouldBe(Math.Floor(12 * 33 * share));
        solution.Weight.Bytes.ShouldBe(step.Predict(new(LayerKinds.Linear, 12, 33), [new(12, 33, 0)]).ShouldHaveSingleItem().Bytes);
        solution.Facts["bitsPerWeight"].ShouldBe(8.0 * solution.Weight.Bytes / (12 * 33));
    }

    [Fact]
    public void Of_equally_large_weights_the_first_are_kept_and_zeros_never()
    {
        using var scope = NewDisposeScope();
        var weight = tensor(new[] { 1f, -2f, 0f, 2f, 2f, 0f }).reshape(2, 3);
        KeptWeights.OfCount(weight, null, 0, 2).Mask.data<bool>().ToArray().ShouldBe([false, true, false, true, false, false]);
        KeptWeights.OfCount(weight, null, 0, 6).Mask.sum().item<long>().ShouldBe(4);
        KeptWeights.OfCount(zeros(2, 3), zeros(2, 3), 2, 3).Mask.any().item<bool>().ShouldBeFalse();
    }

    [Fact]
    public void The_most_sensitive_weights_come_before_the_largest()
    {
        using var scope = NewDisposeScope();
        var weight = Forms.Random([10, 10]);
        var fisher = Forms.Random([10, 11]).narrow(1, 0, 10).square();
        var kept = KeptWeights.OfCount(weight, fisher, 5, 20);
        kept.Sensitive.ShouldBe(4);
        var most = fisher.reshape(-1).topk(4).indexes;
        kept.Mask.reshape(-1).index_select(0, most).all().item<bool>().ShouldBeTrue();
        kept.Mask.sum().item<long>().ShouldBe(20);
    }

    [Fact]
    public void Dead_rows_and_channels_keep_finite_tables()
    {
        using var scope = NewDisposeScope();
        var weight = Forms.Random([6, 24]);
        weight[1] = 0;
        weight[2] = 0.25;
        var fisher = Forms.Random([6, 25]).narrow(1, 0, 24).square();
        fisher[0] = 0;
        fisher.select(1, 3).zero_();
        var solution = Solve(new Dense(weight), new SqueezeLlm { SparseFraction = 0 }, fisher);
        var restored = solution.Weight.Materialize();
        restored.isfinite().all().item<bool>().ShouldBeTrue();
        Compare.SameBits(restored[1], weight[1]).ShouldBeTrue();
        Compare.SameBits(restored[2], weight[2]).ShouldBeTrue();
        solution.Notes.ShouldBeEmpty();
    }

    [Fact]
    public void Without_gradients_all_weights_count_the_same_and_a_note_says_so()
    {
        using var scope = NewDisposeScope();
        var dense = Forms.Dense(6, 24);
        var silent = Solve(dense, new SqueezeLlm(), zeros(6, 24));
        silent.Notes.ShouldHaveSingleItem().ShouldContain("no gradient reaches the layer");
        var plain = SolverCatalog.For(new SqueezeLlm()).Solve(new("fc", dense, null, LayerStatistics.None, 0), new SqueezeLlm { Weighted = false });
        plain.Notes.ShouldBeEmpty();
        Compare.SameBits(plain.Weight.Materialize(), silent.Weight.Materialize()).ShouldBeTrue();
        new SqueezeLlm { Weighted = false }.Needs.ShouldBe(StatisticKinds.None);
    }

    [Fact]
    public void A_matrix_of_few_values_is_restored()
    {
        using var scope = NewDisposeScope();
        var weight = arange(60, dtype: int64).remainder(8).to(float32).sub(3).reshape(4, 15);
        var solution = Solve(new Dense(weight), new SqueezeLlm { SparseFraction = 0 });
        solution.Facts["weightedError"].ShouldBe(0);
        Compare.SameBits(solution.Weight.Materialize(), weight).ShouldBeTrue();
    }

    [Fact]
    public void Zeros_count_unless_the_official_code_is_asked_for()
    {
        using var scope = NewDisposeScope();
        var weight = Forms.Random([4, 64]);
        weight = weight * (weight > 0.3) + weight * (weight < -2);
        var sound = new SqueezeLlm { SparseFraction = 0 };
        var official = new SqueezeLlm { SparseFraction = 0, Parity = Parity.Official };
        var facts = Solve(new Dense(weight.clone()), sound).Facts;
        facts["weightedError"].ShouldBeLessThan(Solve(new Dense(weight.clone()), official).Facts["weightedError"]);
        facts["weightedError"].ShouldBeLessThan(facts["roundToNearestError"]);
    }

    [Fact]
    public void Terms_of_a_sum_are_weighted_and_factors_are_not()
    {
        using var scope = NewDisposeScope();
        var fisher = Forms.Random([8, 9]).square();
        Solve(new Sum(Forms.Dense(8, 9), new Product(Forms.Dense(8, 2), Forms.Dense(2, 9))), new SqueezeLlm(), fisher).Notes.ShouldBeEmpty();
        var factored = Solve(new Product(Forms.Dense(8, 8), Forms.Dense(8, 9)), new SqueezeLlm(), fisher);
        factored.Notes.ShouldHaveSingleItem().ShouldContain("factors");
        factored.Weight.ShouldBeOfType<Product>().Left.ShouldBeOfType<Codebook>();
    }

    [Fact]
    public void Weights_that_cannot_be_stored_are_refused_or_noted()
    {
        using var scope = NewDisposeScope();
        Should.Throw<InvalidOperationException>(() => Solve(new Dense(full([2, 4], double.NaN, dtype: float32)), new SqueezeLlm())).Message.ShouldBe("the weight holds NaN");
        Should.Throw<InvalidOperationException>(() => Solve(new Dense(ones(2, 4)), new SqueezeLlm(), full([2, 4], float.PositiveInfinity))).Message.ShouldContain("infinity");
        Should.Throw<InvalidOperationException>(() => Solve(new Dense(full([2, 4], 1e9, dtype: float32)), new SqueezeLlm())).Message.ShouldContain("tableType: float32");
        Solve(new Dense(full([2, 4], 1e-6, dtype: float32)), new SqueezeLlm()).Notes.ShouldHaveSingleItem().ShouldContain("tableType: float32");
        var large = Forms.Random([4, 100]);
        large[0, 0] = 1e6f;
        Should.Throw<InvalidOperationException>(() => Solve(new Dense(large), new SqueezeLlm { SparseType = ScaleType.Float16 })).Message.ShouldContain("sparseType: float32");
        Solve(new Dense(ones(4, 100)), new SqueezeLlm { OutlierRange = 1.8 }).Notes.ShouldHaveSingleItem().ShouldContain("'sparseFraction'");
    }

    [Fact]
    public void The_same_weight_gives_the_same_bits_and_leaves_nothing_alive()
    {
        using var weight = Forms.Dense(12, 50);
        using var values = Forms.Random([12, 50]);
        using var fisher = values.square();
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        foreach (var step in new[] { new SqueezeLlm { SparseFraction = 0.05 }, new SqueezeLlm { OutlierRange = 1, Solver = TableSolver.Lloyd } })
        {
            var first = Solve(weight, step, fisher);
            var second = Solve(weight, step, fisher);
            first.Weight.Leaves().Zip(second.Weight.Leaves()).ShouldAllBe(pair => Compare.SameBits(pair.First.Tensor, pair.Second.Tensor));
            first.Release();
            second.Release();
        }

        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
    }

    [Theory]
    [InlineData(2, 64)]
    [InlineData(3, 64)]
    [InlineData(4, 33)]
    [InlineData(8, 7)]
    public void Packed_codes_come_back_and_other_widths_are_padded(int bits, int inputs)
    {
        var random = new Random(bits);
        byte[] codes = [.. Enumerable.Range(0, 5 * inputs).Select(_ => (byte)random.Next(1 << bits))];
        int[] words = SqueezeLlmPacking.Pack(codes, 5, inputs, bits);
        words.Length.ShouldBe(SqueezeLlmPacking.PaddedInputs(inputs) * bits / 32 * 5);
        SqueezeLlmPacking.Unpack(words, 5, inputs, bits).ShouldBe(codes);
    }

    [Fact]
    public void Threads_start_in_the_last_row_that_begins_before_their_entries()
    {
        SqueezeLlmPacking.StartRows([0, 0, 300, 300, 512], 10)[..6].ShouldBe([0, 1, 1, 1, 1, 1]);
        int[] starts = SqueezeLlmPacking.StartRows([0, 0, 300, 300, 512], 10);
        starts.Length.ShouldBe(128);
        starts[75].ShouldBe(1);
        starts[76].ShouldBe(3);
        SqueezeLlmPacking.StartRows([0, 3], 10)[..4].ShouldBe([0, 0, 0, -1]);
        SqueezeLlmPacking.StartRows([0, 0], 10).ShouldBeEmpty();
    }

    private static LayerSolution Solve(Expression weight, SqueezeLlm step, Tensor? fisher = null) =>
        SolverCatalog.For(step).Solve(new("fc", weight, null, new LayerStatistics { FisherDiagonal = fisher ?? ones(weight.Rows, weight.Columns) }, 0), step);
}
