using PipelineDsl.Runtime.Allocation;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Decomposition;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>BitStack against the float64 reference; checks 1 to 8 of its page.</summary>
[Trait("Category", "Golden")]
public sealed class BitStackGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("bitstack");
    private readonly Tensor weight;
    private readonly Tensor scaled;
    private readonly int rank;
    private readonly int count;

    public BitStackGoldenTests()
    {
        weight = golden["in.weight"];
        scaled = golden["out.scaled_weight"];
        rank = golden.Integer("k");
        count = golden.Integer("niter");
    }

    [Fact]
    public void Mean_norms_of_the_samples_give_the_scale()
    {
        using var norms = new InputNormAccumulator(weight.shape[1]);
        norms.Add(golden["in.samples"]);
        var scale = norms.Mean() + golden.Number("scale_eps");
        scale.ShouldBeNear(golden["out.scale"], 1e-12);
        (weight * scale).ShouldBeNear(scaled, 1e-12);
    }

    [Fact]
    public void Each_block_has_the_signs_factors_and_term_of_the_reference()
    {
        var blocks = Peel();
        golden.Names.Count(name => name.EndsWith(".packed", StringComparison.Ordinal) && name.StartsWith("out.block", StringComparison.Ordinal)).ShouldBe(count);
        for (int i = 0; i < count; i++)
        {
            string prefix = $"out.block{i}.";
            var stored = blocks[i].Store().ShouldBeOfType<SignLowRank>();
            Compare.SameBits(stored.Bits, golden[prefix + "packed"]).ShouldBeTrue(prefix);
            blocks[i].Spectrum[..rank].ShouldBeNear(golden[prefix + "s"], 1e-10);
            blocks[i].Factors.B.ShouldBeNear(golden[prefix + "us"], 1e-8);
            blocks[i].Factors.A.ShouldBeNear(golden[prefix + "vt"], 1e-8);
            blocks[i].Term().ShouldBeNear(golden[prefix + "term"], 1e-8);
            stored.Materialize().ShouldBeNear(golden[prefix + "term"], 2e-3);
            stored.Bytes.ShouldBe((long)golden.Scalar("out.bytes_per_block"));
        }
    }

    [Fact]
    public void Residual_norms_are_those_of_the_reference_and_obey_the_energy_identity()
    {
        double[] errors = [.. Peel().Select(block => Compare.Norm(block.Rest()))];
        errors.ShouldBeNear(golden["out.err"], 1e-9);
        foreach (var block in Peel())
        {
            double before = Compare.Norm(block.Residual);
            double after = Compare.Norm(block.Rest());
            after.ShouldBeLessThanOrEqualTo(before);
            (after * after).ShouldBeNear((before * before) - block.Spectrum[..rank].Sum(s => s * s), 1e-10);
        }
    }

    [Fact]
    public void Stored_factors_cost_what_the_reference_says()
    {
        var sum = zeros_like(scaled);
        var errors = new List<double>();
        foreach (var block in Peel())
        {
            sum += block.Store().Materialize();
            errors.Add(Compare.Norm(scaled - sum));
        }

        errors.ToArray().ShouldBeNear(golden["out.err_fp16_factors"], 1e-3);
        errors.Zip(golden["out.err_fp16_factors"].data<double>().ToArray()).ShouldAllBe(pair => Math.Abs(pair.First - pair.Second) <= 1e-3 * pair.Second);
    }

    [Fact]
    public void The_solver_rebuilds_the_weight_with_the_scale_undone()
    {
        var step = new BitStack { Blocks = count, Rank = rank, ScaleEps = golden.Number("scale_eps") };
        var solution = Solve(step);
        var exact = Peel().Aggregate(zeros_like(scaled), (sum, block) => sum + block.Term()) / golden["out.scale"];
        exact.ShouldBeNear(golden["out.recon"], 1e-8);
        solution.Materialize().ShouldBeNear(golden["out.recon"], 2e-3);
        solution.Bytes.ShouldBe(step.Predict(new(LayerKinds.Linear, weight.shape[0], weight.shape[1]), []).Sum(cost => cost.Bytes));
    }

    [Fact]
    public void Dropping_the_last_blocks_is_loading_the_first_ones_bit_for_bit()
    {
        var whole = Solve(new() { Blocks = count, Rank = rank });
        for (int blocks = 1; blocks <= count; blocks++)
        {
            var fewer = Solve(new() { Blocks = blocks, Rank = rank });
            Compare.SameBits(Stack.Part(whole, blocks).Materialize(), fewer.Materialize()).ShouldBeTrue();
        }
    }

    [Fact]
    public void Scaling_alone_leaves_the_function_of_the_layer_unchanged()
    {
        var x = golden["in.samples"].to(float32);
        using var unfused = new Scaled(null, new Dense(scaled.to(float32)), (1 / golden["out.scale"]).to(float32));
        unfused.Apply(x).ShouldBeNear(nn.functional.linear(x, weight.to(float32)), 1e-5);
    }

    [Fact]
    public void One_block_of_full_rank_is_the_weight()
    {
        var block = ResidualBlock.Of(scaled, (int)Math.Min(weight.shape[0], weight.shape[1]), plain: false);
        (block.Term() / golden["out.scale"]).ShouldBeNear(weight, 1e-5);
    }

    [Fact]
    public void The_plain_ablation_has_the_rank_and_error_of_the_reference()
    {
        var step = new BitStack { Rank = rank, Plain = true };
        int plainRank = step.FactorRank(new(LayerKinds.Linear, weight.shape[0], weight.shape[1]));
        plainRank.ShouldBe((int)golden.Scalar("in.no_avd_rank"));
        Compare.Norm(ResidualBlock.Of(scaled, plainRank, plain: true).Rest()).ShouldBeNear(golden.Scalar("out.err_plain_svd_same_bytes"), 1e-9);
    }

    [Fact]
    public void Signs_are_padded_to_whole_bytes()
    {
        var signs = golden["in.pad.sign"].to(float64);
        using var block = SignLowRank.Pack(signs, ones(signs.shape[0], 1, dtype: float16), ones(1, signs.shape[1], dtype: float16));
        Compare.SameBits(block.Bits, golden["out.pad.packed"]).ShouldBeTrue();
        block.Materialize().ShouldBeNear(signs, 0);
    }

    [Fact]
    public void The_order_of_blocks_repairs_what_is_not_a_number_and_keeps_ties_in_place()
    {
        Order().ShouldBe(golden["out.sort.order"].data<long>().Select(layer => (int)layer));
    }

    [Fact]
    public void The_table_of_sizes_gives_the_largest_within_each_budget()
    {
        var sizes = ElasticRecord.Of(SortedLayers(), Order(), Longs("in.sort.extra").Single() + SortedLayers().Sum(layer => layer.Blocks * layer.BytesPerBlock));
        sizes.Bytes.ShouldBe(Longs("out.sort.config_bytes"));
        sizes.Bytes.Zip(sizes.Bytes.Skip(1)).ShouldAllBe(pair => pair.First < pair.Second);
        int layers = sizes.Layers.Count;
        Enumerable.Range(0, sizes.Bytes.Count).SelectMany(sizes.BlocksAt).Select(blocks => (long)blocks).ShouldBe(Longs("out.sort.config_blocks"));
        long[] selected = Longs("out.sort.selected");
        long[] budgets = Longs("in.sort.budget_bytes");
        for (int i = 0; i < budgets.Length; i++)
        {
            int size = sizes.Within(budgets[i]).ShouldNotBeNull();
            sizes.BlocksAt(size).Select(blocks => (long)blocks).ShouldBe(selected[(i * layers)..((i + 1) * layers)]);
        }

        sizes.Within(sizes.Bytes[0] - 1).ShouldBeNull();
    }

    private List<StackedLayer> SortedLayers() =>
        [.. Longs("in.sort.mem").Select((bytes, i) => new StackedLayer($"layer{i}", (int)golden["in.sort.ppl_nan"].shape[0] + 1, bytes))];

    private IReadOnlyList<int> Order()
    {
        double[] scores = golden["in.sort.ppl_nan"].data<double>().ToArray();
        var layers = SortedLayers();
        return new BlockScores(layers, [.. scores.Chunk(layers.Count)]).ByScore();
    }

    private long[] Longs(string name) => golden[name].data<long>().ToArray();

    private Expression Solve(BitStack step)
    {
        using var norms = new InputNormAccumulator(weight.shape[1]);
        norms.Add(golden["in.samples"]);
        var statistics = new LayerStatistics { InputNorms = norms.Mean() };
        return new BitStackSolver().Solve(new("fc", new Dense(weight.clone()), null, statistics, 0), step).Weight;
    }

    private List<ResidualBlock> Peel()
    {
        var blocks = new List<ResidualBlock>();
        var residual = scaled;
        for (int i = 0; i < count; i++)
        {
            blocks.Add(ResidualBlock.Of(residual, rank, plain: false));
            residual = blocks[i].Rest();
        }

        return blocks;
    }
}
