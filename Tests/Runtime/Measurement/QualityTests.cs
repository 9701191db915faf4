using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Measurement;
using PipelineDsl.Runtime.Tests.Formats;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Measurement;

public sealed class QualityTests
{
    // Each row scores two classes; the right answers of the three scored rows are 0, 1, 0.
    private static readonly float[,] Scores = { { 0, 0 }, { 0, 2 }, { 1, 3 }, { 9, 9 } };

    [Fact]
    public void Perplexity_is_the_exponential_of_the_mean_over_all_scored_positions()
    {
        double expected = Math.Exp((Math.Log(2) + Math.Log(1 + Math.Exp(-2)) + Math.Log(1 + Math.Exp(2))) / 3);
        Measure(Metric.Perplexity, Split()).ShouldBe(expected, 1e-6);
    }

    [Fact]
    public void Loss_weighs_batches_by_what_they_score() =>
        Measure(Metric.Loss, Split()).ShouldBe(Math.Log(Measure(Metric.Perplexity, Split())), 1e-6);

    [Fact]
    public void Loss_of_real_targets_is_their_squared_error() =>
        Measure(Metric.Loss, [new Batch(tensor(Scores), zeros(4, 2))]).ShouldBe((4 + 1 + 9 + 162) / 8.0, 1e-5);

    [Fact]
    public void Accuracy_is_the_share_of_right_answers_among_the_scored() =>
        Measure(Metric.Accuracy, Split()).ShouldBe(2 / 3.0, 1e-9);

    [Fact]
    public void What_cannot_be_measured_is_said()
    {
        Should.Throw<InvalidOperationException>(() => Measure(Metric.Perplexity, [new Batch(ones(1, 2), null)])).Message.ShouldContain("'target'");
        Should.Throw<InvalidOperationException>(() => Measure(Metric.Accuracy, [new Batch(ones(1, 2), ones(1, 2))])).Message.ShouldContain("int64");
        Should.Throw<InvalidOperationException>(() => Measure(Metric.Perplexity, [])).Message.ShouldContain("scores nothing");
        Should.Throw<InvalidOperationException>(() => Measure(Metric.Loss, [new Batch(ones(1, 2), tensor([Batch.Ignored]))])).Message.ShouldContain("scores nothing");
    }

    [Fact]
    public void Training_mode_comes_back_and_gradients_are_off()
    {
        using var model = new Echo();
        model.train();
        Quality.Measure(new EchoPipeline(), model, Split(), Metric.Perplexity);
        model.training.ShouldBeTrue();
        model.SawTraining.ShouldBeFalse();
        model.SawGradients.ShouldBeFalse();
    }

    [Theory]
    [InlineData(Metric.Perplexity)]
    [InlineData(Metric.Loss)]
    [InlineData(Metric.Accuracy)]
    public void Measuring_leaves_no_tensor_behind(Metric metric) =>
        TensorCount.GrowthOf(() => Measure(metric, Split())).ShouldBe(0);

    [Fact]
    public void Cancelling_ends_the_run()
    {
        using var model = new Echo();
        Should.Throw<OperationCanceledException>(() => Quality.Measure(new EchoPipeline(), model, Split(), Metric.Loss, new CancellationToken(canceled: true)));
    }

    private static double Measure(Metric metric, IEnumerable<Batch> batches)
    {
        using var model = new Echo();
        return Quality.Measure(new EchoPipeline(), model, batches, metric);
    }

    private static IEnumerable<Batch> Split()
    {
        using var scores = tensor(Scores);
        yield return new Batch(scores.narrow(0, 0, 1), tensor([0L]));
        yield return new Batch(scores.narrow(0, 1, 3), tensor([1L, 0L, Batch.Ignored]));
    }

    /// <summary>Gives back what it gets.</summary>
    private sealed class Echo() : nn.Module<Tensor, Tensor>(nameof(Echo))
    {
        public bool SawTraining { get; private set; }

        public bool SawGradients { get; private set; }

        public override Tensor forward(Tensor input)
        {
            SawTraining = training;
            SawGradients = is_grad_enabled();
            return input.alias();
        }
    }

    private sealed class EchoPipeline : ModelPipeline<Echo>
    {
        public override Recipe Recipe { get; } = new() { Name = "echo", Model = "Echo", Weights = "", Span = SourceSpan.StartOf("x"), WeightsSpan = SourceSpan.StartOf("x") };

        public override Echo CreateModel() => new();
    }
}
