using PipelineDsl.Runtime.Decomposition;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>Atomic feature mimicking against the float64 reference.</summary>
[Trait("Category", "Golden")]
public sealed class AtomicFeatureMimickingGoldenTests : IDisposable
{
    private readonly DisposeScope scope = NewDisposeScope();
    private readonly GoldenFile golden = GoldenFile.Open("atomic-feature-mimicking");
    private readonly Tensor weight;
    private readonly Tensor bias;
    private readonly Tensor x;
    private readonly Tensor table;
    private readonly Tensor ids;
    private readonly Tensor counts;
    private readonly int rank;
    private readonly int tableRank;
    private readonly int fields;

    public AtomicFeatureMimickingGoldenTests()
    {
        weight = golden["in.mlp.weight"];
        bias = golden["in.mlp.bias"];
        x = golden["in.mlp.x"];
        table = golden["in.emb.table"];
        ids = golden["in.emb.ids"];
        using var counter = new AccessCounter(table.shape[0]);
        counter.Add(ids);
        counts = counter.Counts.clone();
        rank = golden.Integer("rank");
        tableRank = golden.Integer("emb_rank");
        fields = golden.Integer("fields");
    }

    public void Dispose() => scope.Dispose();

    [Fact]
    public void Outputs_give_mean_covariance_eigenvalues_and_basis()
    {
        var outputs = Outputs();
        outputs.Mean.ShouldBeNear(golden["out.mlp.mean"], 1e-11);
        outputs.Matrix.ShouldBeNear(golden["out.mlp.cov"], 1e-11);
        var (values, vectors) = SymmetricEigen.Descending(outputs.Matrix);
        values.ShouldBeNear(golden["out.mlp.eig"], 1e-9);
        vectors.narrow(1, 0, rank).ShouldBeNear(golden["out.mlp.basis"], 1e-7);
    }

    [Fact]
    public void A_layer_becomes_the_two_of_the_reference()
    {
        var layer = Mimicked(rank);
        layer.W1.ShouldBeNear(golden["out.mlp.w1"], 1e-8);
        layer.B1.ShouldBeNear(golden["out.mlp.b1"], 1e-8);
        layer.W2.ShouldBeNear(golden["out.mlp.w2"], 1e-8);
        layer.B2.ShouldBeNear(golden["out.mlp.b2"], 1e-8);
        layer.Forward(x).ShouldBeNear(golden["out.mlp.y"], 1e-8);
        layer.Forward(x, insertRelu: true).ShouldBeNear(golden["out.mlp.y_relu"], 1e-7);
    }

    [Fact]
    public void The_mean_squared_error_is_the_sum_of_discarded_eigenvalues_and_below_that_of_the_weights_svd()
    {
        double error = MeanSquaredError(Mimicked(rank).Forward(x), x.mm(weight.mT) + bias);
        error.ShouldBeNear(golden["out.mlp.eig"].narrow(0, rank, weight.shape[0] - rank).sum().item<double>(), 1e-9);
        error.ShouldBeNear(golden.Scalar("out.mlp.mse"), 1e-9);
        double plain = MeanSquaredError(x.mm(Projection.Of(weight, weight, SvdRoute.Exact).Project(Slice.Top, rank).mT), x.mm(weight.mT));
        plain.ShouldBeNear(golden.Scalar("out.mlp.mse_weight_svd"), 1e-9);
        error.ShouldBeLessThan(plain);

        double tableError = WeightedError(golden["out.emb.recon"]);
        tableError.ShouldBeNear(golden.Scalar("out.emb.mse"), 1e-9);
        tableError.ShouldBeNear(MimickedTable.Of(table, Lookups(), tableRank).Eigenvalues.Skip(tableRank).Sum(), 1e-9);
        tableError.ShouldBeLessThanOrEqualTo(WeightedError(Projection.Of(table, table, SvdRoute.Exact).Project(Slice.Top, tableRank)));
    }

    [Fact]
    public void The_full_rank_keeps_function_and_table()
    {
        var layer = Mimicked((int)weight.shape[0]);
        layer.Forward(x).ShouldBeNear(x.mm(weight.mT) + bias, 1e-10);
        layer.Merge().Weight.ShouldBeNear(weight, 1e-10);
        layer.Merge().Bias.ShouldBeNear(bias, 1e-10);
        MimickedTable.Of(table, Lookups(), (int)table.shape[1]).Restore().ShouldBeNear(table, 1e-10);
    }

    [Fact]
    public void The_mean_output_is_kept_at_every_rank()
    {
        for (int kept = 0; kept <= weight.shape[0]; kept++)
        {
            Mimicked(kept).Forward(x).mean([0]).ShouldBeNear(golden["out.mlp.mean"], 1e-10);
        }

        var constant = Mimicked(0).Forward(x);
        constant.ShouldBeNear(golden["out.mlp.mean"].expand_as(constant), 1e-10);
        var empty = MimickedTable.Of(table, Lookups(), 0).Restore();
        empty.ShouldBeNear(golden["out.emb.mean"].expand_as(empty), 1e-10);
        (MimickedTable.Of(table, Lookups(), tableRank).Restore().mT.mv(counts) / counts.sum()).ShouldBeNear(golden["out.emb.mean"], 1e-10);
    }

    [Fact]
    public void Counts_give_what_every_single_lookup_gives()
    {
        var lookups = Lookups();
        lookups.Mean.ShouldBeNear(golden["out.emb.mean"], 1e-10);
        lookups.Matrix.ShouldBeNear(golden["out.emb.cov"], 1e-10);
        using var streaming = new InputAccumulator(table.shape[1]);
        streaming.Add(table.index_select(0, ids.flatten()));
        var streamed = Covariance.Of(streaming.Count, streaming.Sum, streaming.Gram);
        lookups.Mean.ShouldBeNear(streamed.Mean, 1e-10);
        lookups.Matrix.ShouldBeNear(streamed.Matrix, 1e-10);
        var uniform = MimickedTable.Lookups(table, ones_like(counts));
        MimickedTable.Lookups(table, ones_like(counts) * 3).Matrix.ShouldBeNear(uniform.Matrix, 1e-10);
    }

    [Fact]
    public void A_table_becomes_narrow_rows_of_the_reference()
    {
        var narrow = MimickedTable.Of(table, Lookups(), tableRank);
        narrow.Eigenvalues.ShouldBeNear(golden["out.emb.eig"], 1e-9);
        narrow.Basis.ShouldBeNear(golden["out.emb.basis"], 1e-7);
        narrow.Rows.ShouldBeNear(golden["out.emb.table"], 1e-7);
        narrow.Restore().ShouldBeNear(golden["out.emb.recon"], 1e-8);
    }

    [Fact]
    public void The_fused_next_layer_gives_the_outputs_of_the_unfused_one()
    {
        var narrow = MimickedTable.Of(table, Lookups(), tableRank);
        var (fusedWeight, fusedBias) = MimickedTable.FuseNext(golden["in.emb.next_weight"], golden["in.emb.next_bias"], [.. Enumerable.Repeat(narrow, fields)]);
        fusedWeight.ShouldBeNear(golden["out.emb.fused_weight"], 1e-7);
        fusedBias.ShouldBeNear(golden["out.emb.fused_bias"], 1e-8);
        var fused = Read(narrow.Rows).mm(fusedWeight.mT) + fusedBias;
        fused.ShouldBeNear(golden["out.emb.fused_y"], 1e-8);
        fused.ShouldBeNear(Read(narrow.Restore()).mm(golden["in.emb.next_weight"].mT) + golden["in.emb.next_bias"], 1e-10);
    }

    [Fact]
    public void The_relu_changes_nothing_where_all_hidden_values_are_positive()
    {
        var layer = Mimicked(rank);
        var positive = layer with { B1 = layer.B1 + x.mm(layer.W1.mT).abs().max() + layer.B1.abs().max() };
        positive.Forward(x, insertRelu: true).ShouldBeNear(positive.Forward(x), 1e-14);
    }

    [Fact]
    public void The_step_stores_what_the_reference_computes_in_the_bytes_that_it_predicts()
    {
        var moments = new InputAccumulator(x.shape[1]);
        moments.Add(x);
        var statistics = new LayerStatistics { InputMoments = new(moments.Count, moments.Sum, moments.Gram), AccessCounts = counts };
        var linear = new MimicFeatures { Rank = rank };
        using var layer = Solve(new("mlp", new Dense(weight), bias, statistics, 0), linear).Weight;
        layer.Materialize().ShouldBeNear(Mimicked(rank).Merge().Weight, 1e-8);
        layer.Bytes.ShouldBe(8 * rank * (weight.shape[0] + weight.shape[1]));

        var shape = new LayerShape(LayerKinds.Embedding, table.shape[0], table.shape[1]);
        var step = new MimicFeatures { Rank = tableRank };
        var solution = Solve(new("emb", new Dense(table), null, statistics, 0) { Shape = shape }, step);
        using var narrow = solution.Weight;
        narrow.Materialize().ShouldBeNear(golden["out.emb.recon"], 1e-8);
        solution.Facts["predictedLoss"].ShouldBeNear(golden.Scalar("out.emb.mse"), 1e-9);
        long values = shape.Rows * tableRank + shape.Columns * tableRank + shape.Columns;
        narrow.Bytes.ShouldBe(8 * values);
        step.Predict(shape, []).Sum(cost => cost.Bytes).ShouldBe(4 * values);
    }

    private static LayerSolution Solve(LayerProblem problem, Step step) => SolverCatalog.For(step).Solve(problem, step);

    private static double MeanSquaredError(Tensor actual, Tensor expected) => (actual - expected).square().sum(1).mean().item<double>();

    private double WeightedError(Tensor restored) => ((restored - table).square().sum(1).dot(counts) / counts.sum()).item<double>();

    /// <summary>The rows of each field of the query, side by side.</summary>
    private Tensor Read(Tensor rows)
    {
        var query = golden["in.emb.query"];
        return rows.index_select(0, query.flatten()).reshape(query.shape[0], -1);
    }

    private Covariance Lookups() => MimickedTable.Lookups(table, counts);

    private MimickedLayer Mimicked(int kept) => MimickedLayer.Of(weight, bias, Outputs(), kept);

    private Covariance Outputs()
    {
        using var accumulator = new InputAccumulator(weight.shape[0]);
        accumulator.Add(x.mm(weight.mT) + bias);
        return Covariance.Of(accumulator.Count, accumulator.Sum, accumulator.Gram);
    }
}
