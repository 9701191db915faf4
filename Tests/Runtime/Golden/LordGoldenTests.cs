using PipelineDsl.Runtime.Allocation;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>LoRD against the float64 reference.</summary>
[Trait("Category", "Golden")]
public sealed class LordGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("lord");
    private readonly Tensor weight;
    private readonly Tensor x;
    private readonly int rank;

    public LordGoldenTests()
    {
        weight = golden["in.weight"];
        x = golden["in.x"];
        rank = golden.Integer("rank");
    }

    [Fact]
    public void Outputs_give_mean_covariance_eigenvalues_and_basis()
    {
        foreach (bool centred in new[] { true, false })
        {
            string prefix = Prefix(centred);
            var covariance = OutputCovariance(centred);
            covariance.Matrix.ShouldBeNear(golden[prefix + "cov"], 1e-11);
            if (golden.Has(prefix + "mean"))
            {
                covariance.Mean.ShouldBeNear(golden[prefix + "mean"], 1e-11);
            }

            var (values, vectors) = SymmetricEigen.Descending(covariance.Matrix);
            values.ShouldBeNear(golden[prefix + "eig"], 1e-9);
            vectors.narrow(1, 0, rank).ShouldBeNear(golden[prefix + "basis"], 1e-7);
        }
    }

    [Fact]
    public void Inputs_give_the_same_projector_weight_bias_and_loss()
    {
        foreach (bool centred in new[] { true, false })
        {
            string prefix = Prefix(centred);
            var result = Project(weight, centred ? golden["in.bias"] : null, x, rank, centred);
            result.Weight.ShouldBeNear(golden[prefix + "weight"], 1e-8);
            var basis = golden[prefix + "basis"];
            result.Projector.ShouldBeNear(basis.mm(basis.mT), 1e-8);
            result.Loss.ShouldBeNear(golden.Scalar(prefix + "mse"), 1e-9);
            if (golden.Has(prefix + "bias"))
            {
                result.Bias!.ShouldBeNear(golden[prefix + "bias"], 1e-8);
            }
        }
    }

    [Fact]
    public void The_mean_squared_error_is_the_sum_of_discarded_eigenvalues()
    {
        foreach (bool centred in new[] { true, false })
        {
            var bias = centred ? golden["in.bias"] : zeros(weight.shape[0], dtype: float64);
            var result = Project(weight, bias, x, rank, centred);
            MeanSquaredError(result.Weight, result.Bias!, bias).ShouldBeNear(result.Loss, 1e-9);
        }
    }

    [Fact]
    public void No_other_layer_of_the_rank_does_better_on_these_data()
    {
        var bias = golden["in.bias"];
        var mean = x.mean([0]);
        double best = Project(weight, bias, x, rank, centred: true).Loss;
        using var activations = new ActivationScale(weight.shape[1]);
        activations.Add(x);
        var random = randn(weight.shape, dtype: float64, generator: new Generator(1));
        foreach (var oriented in new[] { weight, weight * activations.Diagonal(0.5, 1e-6), random })
        {
            var rival = Projection.Of(weight, oriented, SvdRoute.Exact).Project(Slice.Top, rank);
            best.ShouldBeLessThanOrEqualTo(MeanSquaredError(rival, bias, bias) * (1 + 1e-12));
            best.ShouldBeLessThanOrEqualTo(MeanSquaredError(rival, bias + (weight - rival).mv(mean), bias) * (1 + 1e-12));
        }
    }

    [Fact]
    public void Without_centring_it_is_the_whitened_projection()
    {
        var whitened = Projection.Of(weight, weight.mm(MetricFactor.OfSamples(x)), SvdRoute.Exact).Project(Slice.Top, rank);
        golden["out.raw.weight"].ShouldBeNear(whitened, 1e-7);
    }

    [Fact]
    public void The_full_rank_changes_nothing()
    {
        var bias = golden["in.bias"];
        var result = Project(weight, bias, x, (int)Math.Min(weight.shape[0], weight.shape[1]), centred: true);
        MeanSquaredError(result.Weight, result.Bias!, bias).ShouldBeLessThan(1e-18 * Compare.Norm(weight) * Compare.Norm(x) + 1e-20);
        if (x.shape[0] > weight.shape[1])
        {
            result.Weight.ShouldBeNear(weight, 1e-9);
        }
    }

    [Fact]
    public void A_centred_layer_keeps_the_mean_of_its_outputs()
    {
        var bias = golden["in.bias"];
        var result = Project(weight, bias, x, rank, centred: true);
        (x.mm(result.Weight.mT) + result.Bias!).mean([0]).ShouldBeNear(golden["out.centered.mean"], 1e-10);
    }

    [Fact]
    public void The_projector_is_idempotent_and_symmetric()
    {
        var projector = Project(weight, null, x, rank, centred: true).Projector;
        projector.mm(projector).ShouldBeNear(projector, 1e-12);
        projector.mT.ShouldBeNear(projector, 1e-12);
    }

    [Fact]
    public void The_sensitivity_table_is_reproduced()
    {
        var net = ToyNet.Read(golden);
        long calibration = golden["in.net.n_calib"].item<long>();
        var evaluation = x.narrow(0, calibration, x.shape[0] - calibration);
        net.Perplexity(evaluation, golden["in.net.labels"]).ShouldBeNear(golden.Scalar("out.net.base_ppl"), 1e-8);

        var inputs = net.Inputs(x.narrow(0, 0, calibration));
        double[] reductions = golden["in.net.rank_reduction"].data<double>().ToArray();
        int Rank(int layer, int cell) => (int)Math.Max(1, Math.Round(Math.Min(net.Weights[layer].shape[0], net.Weights[layer].shape[1]) * (1 - reductions[cell]), MidpointRounding.ToEven));
        long Cost(int layer, int cell) => Rank(layer, cell) * (net.Weights[layer].shape[0] + net.Weights[layer].shape[1]);
        var table = SensitivityTable.Measure(
            golden.Scalar("out.net.base_ppl"),
            [.. net.Weights.Select((_, layer) => ($"{layer}", (IReadOnlyList<long>)[.. reductions.Select((_, cell) => Cost(layer, cell))]))],
            (layer, cell) =>
            {
                var result = Project(net.Weights[layer], net.Biases[layer], inputs[layer], Rank(layer, cell), centred: true);
                return net.With(layer, result.Weight, result.Bias!).Perplexity(evaluation, golden["in.net.labels"]);
            });
        for (int layer = 0; layer < net.Weights.Length; layer++)
        {
            table.Rows[layer].Metrics.ToArray().ShouldBeNear(golden["out.net.table_ppl"][layer], 1e-8);
            for (int cell = 0; cell < reductions.Length; cell++)
            {
                ((long)Rank(layer, cell)).ShouldBe(golden["out.net.table_rank"][layer, cell].item<long>());
                ((double)Cost(layer, cell) / net.Weights[layer].numel()).ShouldBeNear(golden["out.net.table_param_ratio"][layer, cell].item<double>(), 1e-12);
            }
        }
    }

    private static string Prefix(bool centred) => centred ? "out.centered." : "out.raw.";

    private static (Tensor Weight, Tensor? Bias, Tensor Projector, double Loss) Project(Tensor weight, Tensor? bias, Tensor inputs, int rank, bool centred)
    {
        using var accumulator = new InputAccumulator(inputs.shape[1]);
        accumulator.Add(inputs);
        var covariance = Covariance.Of(accumulator.Count, accumulator.Sum, accumulator.Gram);
        var metric = centred ? covariance.Matrix : accumulator.Gram / accumulator.Count;
        var projection = Projection.Of(weight, weight.mm(MetricFactor.OfGram(metric)), SvdRoute.Exact);
        var result = projection.Project(Slice.Top, rank);
        var directions = projection.Directions(Slice.Top, rank);
        var moved = bias is not null && centred ? bias + (weight - result).mv(covariance.Mean) : bias;
        return (result, moved, directions.mm(directions.mT), projection.Loss(Slice.Top, rank));
    }

    private double MeanSquaredError(Tensor result, Tensor bias, Tensor original) =>
        (x.mm(weight.mT) + original - x.mm(result.mT) - bias).square().sum(1).mean().item<double>();

    /// <summary>The page's output-side statistics: y with its bias, or without bias and mean.</summary>
    private Covariance OutputCovariance(bool centred)
    {
        var y = x.mm(weight.mT);
        y = centred ? y + golden["in.bias"] : y;
        using var accumulator = new InputAccumulator(y.shape[1]);
        accumulator.Add(y);
        var sum = centred ? accumulator.Sum : zeros_like(accumulator.Sum);
        return Covariance.Of(accumulator.Count, sum, accumulator.Gram);
    }

    /// <summary>The file's toy network: tanh between its layers, softmax at its end.</summary>
    private sealed record ToyNet(Tensor[] Weights, Tensor[] Biases)
    {
        public static ToyNet Read(GoldenFile golden)
        {
            int layers = Enumerable.Range(0, int.MaxValue).First(index => !golden.Has($"in.net.w{index}"));
            return new(
                [.. Enumerable.Range(0, layers).Select(index => golden[$"in.net.w{index}"])],
                [.. Enumerable.Range(0, layers).Select(index => golden[$"in.net.b{index}"])]);
        }

        public ToyNet With(int layer, Tensor weight, Tensor bias) => new(
            [.. Weights.Select((old, index) => index == layer ? weight : old)],
            [.. Biases.Select((old, index) => index == layer ? bias : old)]);

        public List<Tensor> Inputs(Tensor x)
        {
            List<Tensor> inputs = [x];
            for (int layer = 0; layer < Weights.Length - 1; layer++)
            {
                inputs.Add(Layer(layer, inputs[^1]).tanh());
            }

            return inputs;
        }

        public double Perplexity(Tensor x, Tensor labels)
        {
            var scores = Layer(Weights.Length - 1, Inputs(x)[^1]);
            return Math.Exp(nn.functional.cross_entropy(scores, labels).item<double>());
        }

        private Tensor Layer(int layer, Tensor x) => x.mm(Weights[layer].mT) + Biases[layer];
    }
}
