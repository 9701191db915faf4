using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Optimization;
using PipelineDsl.Runtime.Tests.Formats;
using PipelineDsl.Runtime.Training;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Training;

public sealed class TrainerTests
{
    private static readonly SourceSpan Place = new("tutor.recipe.yaml", 5, 1, 5, 6);

    private static TrainAttribute Settings => new("t.jsonl") { BatchSize = 4, Epochs = 3, LearningRate = 0.05, EvaluateEvery = 5, Validation = "v.jsonl", CheckpointEvery = 4, WarmUp = 2 };

    [Fact]
    public void The_loss_falls_on_training_and_on_held_out_data()
    {
        using var language = new TinyLanguage();
        var outcome = Run(Settings, language.Work());
        outcome.Steps.ShouldBe(3 * 13);
        outcome.PlannedSteps.ShouldBe(outcome.Steps);
        outcome.Losses.Count.ShouldBe(outcome.Steps);
        outcome.Validation.Select(point => point.Step).ShouldBe([0, 5, 10, 15, 20, 25, 30, 35, 39]);
        outcome.Validation.Min(point => point.Loss).ShouldBeLessThan(outcome.Validation[0].Loss * 0.8);
        outcome.KeptStep.ShouldBe(outcome.Validation.MinBy(point => point.Loss)!.Step);
    }

    [Fact]
    public void Every_epoch_takes_each_example_once_in_an_order_of_its_own()
    {
        var plan = new TrainingPlan(new("t") { BatchSize = 4, Accumulation = 2, Epochs = 2 }, examples: 21, seed: 9);
        (plan.StepsPerEpoch, plan.Steps).ShouldBe((3, 6));
        int[][] epochs = [.. Enumerable.Range(0, 2).Select(epoch => Enumerable.Range(3 * epoch, 3).SelectMany(plan.BatchesOf).SelectMany(batch => batch).ToArray())];
        epochs.ShouldAllBe(epoch => epoch.Order().SequenceEqual(Enumerable.Range(0, 21)));
        epochs[0].ShouldNotBe(epochs[1]);
        epochs[0].ShouldNotBe(Enumerable.Range(0, 21));
        plan.BatchesOf(2).Select(batch => batch.Length).ShouldBe([4, 1]);
        plan.BatchesOf(0).SelectMany(batch => batch).ShouldBe(epochs[0].Take(8), "an earlier step can be asked for again");
    }

    [Theory]
    [InlineData(0, 0.25, 100, 25)]
    [InlineData(0, 30, 100, 30)]
    [InlineData(50, 0.5, 50, 25)]
    public void Shares_of_steps_become_steps(int steps, double warmUp, int all, int expected)
    {
        var plan = new TrainingPlan(new("t") { BatchSize = 1, Epochs = 1, Steps = steps, WarmUp = warmUp }, examples: 100, seed: 0);
        plan.Steps.ShouldBe(all);
        plan.Schedule.WarmUp.ShouldBe(expected);
    }

    [Fact]
    public void Accumulated_batches_make_the_step_of_one_large_batch()
    {
        using var whole = new TinyLanguage();
        using var parts = new TinyLanguage();
        Run(new TrainAttribute("t") { BatchSize = 12, LearningRate = 0.05, Epochs = 2 }, whole.Work() with { Validation = null });
        Run(new TrainAttribute("t") { BatchSize = 4, Accumulation = 3, LearningRate = 0.05, Epochs = 2 }, parts.Work() with { Validation = null });
        Largest(whole.Table - parts.Table).ShouldBeLessThan(1e-5);
        Largest(whole.Output - parts.Output).ShouldBeLessThan(1e-5);
    }

    [Fact]
    public void The_gradient_of_a_step_is_that_of_the_mean_over_all_its_targets()
    {
        // Plain gradient descent, one step over everything: w − rate · ∇ mean loss, computed here at once.
        using var language = new TinyLanguage();
        using var expected = new TinyLanguage();
        var work = language.Work() with { Validation = null };
        using (var scope = NewDisposeScope())
        {
            var batch = work.Data.Read([.. Enumerable.Range(0, work.Data.Count)]);
            expected.Loss(batch).backward();
        }

        Run(new TrainAttribute("t") { Steps = 1, BatchSize = 3, Accumulation = 100, Optimizer = TrainingOptimizer.Sgd, LearningRate = 0.5, Momentum = 0, Clip = 0, Schedule = TrainingSchedule.Constant }, work);
        using var noGradients = no_grad();
        Largest(language.Output - (expected.Output - (expected.Output.grad! * 0.5))).ShouldBeLessThan(1e-6);
        Largest(language.Table - (expected.Table - (expected.Table.grad! * 0.5))).ShouldBeLessThan(1e-6);
    }

    [Fact]
    public void Two_runs_give_the_same_bits_and_another_seed_gives_others()
    {
        using var first = new TinyLanguage();
        using var second = new TinyLanguage();
        using var other = new TinyLanguage();
        Run(Settings, first.Work());
        Run(Settings, second.Work());
        Run(Settings, other.Work() with { Seed = 4 });
        second.Bits().ShouldBe(first.Bits());
        other.Bits().ShouldNotBe(first.Bits());
    }

    [Theory]
    [InlineData(TrainingOptimizer.AdamW)]
    [InlineData(TrainingOptimizer.Adam)]
    [InlineData(TrainingOptimizer.Sgd)]
    [InlineData(TrainingOptimizer.RmsProp)]
    [InlineData(TrainingOptimizer.Lion)]
    [InlineData(TrainingOptimizer.AdamP)]
    [InlineData(TrainingOptimizer.SgdP)]
    [InlineData(TrainingOptimizer.DctAdamW)]
    [InlineData(TrainingOptimizer.GaLore)]
    public void A_run_that_was_stopped_anywhere_ends_with_the_bits_of_one_that_was_not(TrainingOptimizer optimizer)
    {
        var settings = Settings;
        settings.Optimizer = optimizer;
        settings.LearningRate = 0.02;
        settings.OptimizerRank = 2;
        settings.ErrorFeedback = ErrorFeedback.Int8;
        settings.Epochs = 1;
        using var undisturbed = new TinyLanguage();
        var expected = Run(settings, undisturbed.Work());
        foreach (int stop in new[] { 1, 4, 7, 12 })
        {
            using var folder = new TemporaryFolder();
            string checkpoint = folder.File("checkpoint.safetensors");
            using (var killed = new TinyLanguage())
            {
                var work = killed.Work(checkpoint);
                Should.Throw<OperationCanceledException>(() => Run(settings, work with { MoveTo = position => Stop(position, stop) }));
            }

            using var resumed = new TinyLanguage();
            var outcome = Run(settings, resumed.Work(checkpoint));
            resumed.Bits().ShouldBe(undisturbed.Bits(), $"stopped in step {stop}");
            outcome.Losses.ShouldBe(expected.Losses);
            outcome.Validation.ShouldBe(expected.Validation);
            (outcome.KeptStep, outcome.Targets).ShouldBe((expected.KeptStep, expected.Targets));
            resumed.Positions.First(position => position is not null)!.Value.Step.ShouldBe(stop / 4 * 4, "training goes on at the last checkpoint");
        }
    }

    [Fact]
    public void A_run_without_held_out_data_goes_on_too()
    {
        using var folder = new TemporaryFolder();
        string checkpoint = folder.File("checkpoint.safetensors");
        using var undisturbed = new TinyLanguage();
        Run(Settings, undisturbed.Work() with { Validation = null });
        using (var killed = new TinyLanguage())
        {
            Should.Throw<OperationCanceledException>(() => Run(Settings, killed.Work(checkpoint) with { Validation = null, MoveTo = position => Stop(position, 9) }));
        }

        using var resumed = new TinyLanguage();
        var outcome = Run(Settings, resumed.Work(checkpoint) with { Validation = null });
        resumed.Bits().ShouldBe(undisturbed.Bits());
        outcome.Losses.Count.ShouldBe(39);
        resumed.Positions[0]!.Value.Step.ShouldBe(8);
    }

    [Fact]
    public void A_checkpoint_of_other_work_or_a_damaged_one_is_not_used()
    {
        using var folder = new TemporaryFolder();
        string checkpoint = folder.File("checkpoint.safetensors");
        using var undisturbed = new TinyLanguage();
        Run(Settings, undisturbed.Work(checkpoint));
        File.Exists(checkpoint).ShouldBeTrue();
        using var other = new TinyLanguage();
        Run(Settings, other.Work(checkpoint) with { Key = "other" });
        other.Positions.Count(position => position is { Step: 0 }).ShouldBeGreaterThan(0);
        File.WriteAllBytes(checkpoint, File.ReadAllBytes(checkpoint)[..100]);
        using var damaged = new TinyLanguage();
        Run(Settings, damaged.Work(checkpoint));
        damaged.Bits().ShouldBe(undisturbed.Bits());
    }

    [Fact]
    public void Training_ends_early_and_returns_to_the_best_state()
    {
        using var language = new TinyLanguage();
        var settings = Settings;
        settings.Epochs = 100;
        settings.LearningRate = 0.5;
        settings.Patience = 3;
        var outcome = Run(settings, language.Work());
        outcome.Steps.ShouldBeLessThan(outcome.PlannedSteps);
        outcome.Steps.ShouldBe(outcome.KeptStep + 15, "three evaluations, five steps each, were no better");
        using var noGradients = no_grad();
        var held = TinyLanguage.Sentences(20, 2);
        using var all = held.Read([.. Enumerable.Range(0, held.Count)]);
        using var loss = language.Loss(all);
        ((double)loss.item<float>()).ShouldBe(outcome.Validation.Min(point => point.Loss), 1e-5);
    }

    [Fact]
    public void Without_keeping_the_best_the_last_state_stays()
    {
        using var language = new TinyLanguage();
        var settings = Settings;
        settings.LearningRate = 0.5;
        settings.Epochs = 20;
        settings.KeepBest = false;
        var outcome = Run(settings, language.Work());
        outcome.KeptStep.ShouldBe(outcome.Steps);
        outcome.Validation[^1].Loss.ShouldBeGreaterThan(outcome.Validation.Min(point => point.Loss));
    }

    [Theory]
    [InlineData(double.NaN, "the loss was NaN in step 3 of 39")]
    [InlineData(double.PositiveInfinity, "the loss was infinite in step 3 of 39")]
    public void A_loss_that_is_no_number_ends_training_with_an_error(double factor, string expected)
    {
        using var language = new TinyLanguage();
        var settings = Settings;
        int calls = 0;
        var work = language.Work() with { Validation = null };
        var failure = Should.Throw<PipelineException>(() => Run(settings, work with { Loss = batch => ++calls == 3 ? language.Loss(batch) * factor : language.Loss(batch) }));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.TrainingDiverged);
        failure.Diagnostic.Span.ShouldBe(Place);
        failure.Message.ShouldContain(expected);
        failure.Message.ShouldContain("lower 'learningRate'");
    }

    [Fact]
    public void Gradients_are_clipped_together()
    {
        using var clipped = new TinyLanguage();
        using var start = new TinyLanguage();
        Run(new TrainAttribute("t") { Steps = 1, Optimizer = TrainingOptimizer.Sgd, Momentum = 0, LearningRate = 1, Clip = 0.01, Schedule = TrainingSchedule.Constant }, clipped.Work() with { Validation = null });
        using var noGradients = no_grad();
        double moved = Math.Sqrt(((clipped.Table - start.Table).square().sum() + (clipped.Output - start.Output).square().sum()).item<float>());
        moved.ShouldBe(0.01, 1e-5);
    }

    [Fact]
    public void Vectors_are_not_decayed()
    {
        using var vector = ones(3, requires_grad: true);
        using var matrix = ones(3, 1, requires_grad: true);
        var groups = UpdateRules.Groups(new("t") { WeightDecay = 0.1 }, [new("v", vector), new("m", matrix)]);
        groups.Select(group => group.Rule.WeightDecay).ShouldBe([0, 0.1]);
    }

    [Fact]
    public void Directions_of_an_optimizer_are_chosen_as_the_recipe_says_or_as_it_does_itself()
    {
        var usual = UpdateRules.Rule(new("t") { Optimizer = TrainingOptimizer.DctAdamW }).ShouldBeOfType<DctAdamW>();
        (usual.Rank, usual.Gap, usual.ErrorFeedback).ShouldBe((64, 1, ErrorFeedback.None));
        var told = UpdateRules.Rule(new("t") { Optimizer = TrainingOptimizer.DctAdamW, OptimizerRank = 8, OptimizerGap = 5, ErrorFeedback = ErrorFeedback.Int8 }).ShouldBeOfType<DctAdamW>();
        (told.Rank, told.Gap, told.ErrorFeedback).ShouldBe((8, 5, ErrorFeedback.Int8));
        UpdateRules.Rule(new("t") { Optimizer = TrainingOptimizer.GaLore }).ShouldBeOfType<GaLore>().Gap.ShouldBe(200);
        UpdateRules.Rule(new("t") { Optimizer = TrainingOptimizer.GaLore, OptimizerGap = 7 }).ShouldBeOfType<GaLore>().Gap.ShouldBe(7);
    }

    [Fact]
    public void A_batch_in_which_nothing_is_scored_changes_nothing()
    {
        using var language = new TinyLanguage();
        byte[] before = language.Bits();
        var silent = new TokenExamples([new([1, 2], [-100, -100])]);
        var outcome = Run(new TrainAttribute("t") { Steps = 2, Optimizer = TrainingOptimizer.Sgd }, language.Work() with { Data = silent, Validation = null });
        language.Bits().ShouldBe(before);
        outcome.Targets.ShouldBe(0);
    }

    [Fact]
    public void Steps_leave_no_tensors_behind()
    {
        using var language = new TinyLanguage();
        var counts = new List<long>();
        var settings = Settings;
        settings.Epochs = 12;
        Run(settings, language.Work() with { MoveTo = position => counts.Add(position is null ? -1 : DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount) });
        long[] training = [.. counts.Where(count => count >= 0)];
        training[^1].ShouldBe(training[40], "live tensors of this thread in the last step and in an early one");
    }

    private static TrainingOutcome Run(TrainAttribute settings, TrainingWork work) => new Trainer(settings, work).Run(Place, CancellationToken.None);

    private static double Largest(Tensor tensor)
    {
        using var scope = NewDisposeScope();
        return tensor.abs().max().to(float64).item<double>();
    }

    private static void Stop(TrainingPosition? position, int step)
    {
        if (position?.Step == step)
        {
            throw new OperationCanceledException();
        }
    }
}
