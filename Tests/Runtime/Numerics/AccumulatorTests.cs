using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Numerics;

public sealed class AccumulatorTests
{
    [Fact]
    public void Batches_of_any_shape_and_dtype_add_up()
    {
        using var scope = NewDisposeScope();
        var x = randn(2, 5, 4, generator: new Generator(1));
        using var whole = new InputAccumulator(4);
        whole.Add(x);
        using var parts = new InputAccumulator(4);
        parts.Add(x[0]);
        parts.Add(x[1]);
        whole.Count.ShouldBe(10);
        parts.Count.ShouldBe(10);
        parts.Gram.ShouldBeNear(whole.Gram, 1e-14);
        parts.Sum.ShouldBeNear(whole.Sum, 1e-14);
        var rows = x.reshape(-1, 4).to(float64);
        whole.Gram.ShouldBeNear(rows.mT.mm(rows), 1e-14);
        var covariance = Covariance.Of(whole.Count, whole.Sum, whole.Gram);
        covariance.Mean.ShouldBeNear(rows.mean([0]), 1e-14);
        covariance.Matrix.ShouldBeNear((rows - rows.mean([0])).mT.mm(rows - rows.mean([0])) / 10, 1e-12);
    }

    [Theory]
    [InlineData(StatisticKinds.ContextCovariance, 4)]
    [InlineData(StatisticKinds.ContextCovarianceSignedMax, 2)]
    [InlineData(StatisticKinds.ContextCovarianceUnscaled, 1)]
    public void A_sample_is_divided_by_what_its_kind_says(StatisticKinds kind, double divisor)
    {
        using var scope = NewDisposeScope();
        var sample = tensor(new double[] { 1, -4, 2, 0 }).reshape(2, 2);
        using var accumulator = new CovarianceAccumulator(2, kind);
        accumulator.Add(sample);
        accumulator.Add(zeros(3, 2));
        accumulator.Count.ShouldBe(2);
        accumulator.Mean().ShouldBeNear(sample.mT.mm(sample) / (divisor * divisor * 2), 1e-15);
    }

    [Fact]
    public void A_sample_whose_signed_maximum_is_zero_is_refused()
    {
        using var accumulator = new CovarianceAccumulator(2, StatisticKinds.ContextCovarianceSignedMax);
        using var sample = tensor(new double[] { 0, -4 }).reshape(1, 2);
        Should.Throw<InvalidOperationException>(() => accumulator.Add(sample)).Message.ShouldContain("absMax");
    }

    [Theory]
    [InlineData(double.NaN, "NaN")]
    [InlineData(double.NegativeInfinity, "infinity")]
    public void Broken_numbers_are_refused(double value, string named)
    {
        using var scope = NewDisposeScope();
        var broken = tensor(new[] { 1, value, 2, 3 }).reshape(2, 2);
        using var inputs = new InputAccumulator(2);
        using var covariance = new CovarianceAccumulator(2, StatisticKinds.ContextCovariance);
        using var fisher = new FisherAccumulator(2, 2);
        using var activations = new ActivationScale(2);
        foreach (var add in new Action<Tensor>[] { inputs.Add, covariance.Add, fisher.Add, activations.Add })
        {
            Should.Throw<InvalidOperationException>(() => add(broken)).Message.ShouldContain(named);
        }
    }

    [Fact]
    public void Nothing_collected_is_an_error_not_a_nan()
    {
        using var covariance = new CovarianceAccumulator(2, StatisticKinds.ContextCovariance);
        using var fisher = new FisherAccumulator(2, 2);
        using var inputs = new InputAccumulator(2);
        Should.Throw<InvalidOperationException>(() => covariance.Mean());
        Should.Throw<InvalidOperationException>(() => fisher.Rows());
        Should.Throw<InvalidOperationException>(() => Covariance.Of(inputs.Count, inputs.Sum, inputs.Gram));
    }

    [Fact]
    public void Nothing_stays_alive_after_the_accumulators()
    {
        using var scope = NewDisposeScope();
        var x = ones(3, 4);
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        using (var inputs = new InputAccumulator(4))
        using (var covariance = new CovarianceAccumulator(4, StatisticKinds.ContextCovariance))
        using (var fisher = new FisherAccumulator(3, 4))
        using (var activations = new ActivationScale(4))
        {
            inputs.Add(x);
            covariance.Add(x);
            fisher.Add(x);
            activations.Add(x);
            covariance.Mean().Dispose();
            fisher.Rows().Dispose();
            activations.Diagonal(0.5, 1e-6).Dispose();
        }

        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
    }
}
