using System.Globalization;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Optimization;
using PipelineDsl.Runtime.Training;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Benchmarks;

/// <summary>Every optimizer on the same task: all layers of stories260k's blocks are trained whole on plays, each optimizer at the best of three rates around its own.</summary>
/// <remarks>Argument: optimizer steps (60 unless told). State bytes are those of the trained weights' own shapes.</remarks>
internal static class OptimizersBenchmark
{
    private const int UsualSteps = 60;

    private static readonly (string Name, Action<TrainAttribute> Set, double[] Rates)[] Optimizers =
    [
        ("adamW", settings => settings.Optimizer = TrainingOptimizer.AdamW, [1e-3, 3e-3, 1e-2]),
        ("adamW8bit", settings => settings.EightBitState = true, [1e-3, 3e-3, 1e-2]),
        ("adam", settings => settings.Optimizer = TrainingOptimizer.Adam, [1e-3, 3e-3, 1e-2]),
        ("sgd", settings => settings.Optimizer = TrainingOptimizer.Sgd, [0.1, 0.3, 1]),
        ("rmsProp", settings => settings.Optimizer = TrainingOptimizer.RmsProp, [3e-4, 1e-3, 3e-3]),
        ("lion", settings => settings.Optimizer = TrainingOptimizer.Lion, [3e-4, 1e-3, 3e-3]),
        ("adamP", settings => settings.Optimizer = TrainingOptimizer.AdamP, [1e-3, 3e-3, 1e-2]),
        ("sgdP", settings => settings.Optimizer = TrainingOptimizer.SgdP, [0.1, 0.3, 1]),
        ("dctAdamW", settings => (settings.Optimizer, settings.OptimizerRank, settings.ErrorFeedback) = (TrainingOptimizer.DctAdamW, 18, ErrorFeedback.Int8), [3e-3, 1e-2, 3e-2]),
        ("gaLore", settings => (settings.Optimizer, settings.OptimizerRank) = (TrainingOptimizer.GaLore, 16), [1e-2, 3e-2, 0.1]),
    ];

    public static void Run(string[] arguments)
    {
        int steps = arguments.Length > 0 ? int.Parse(arguments[0], CultureInfo.InvariantCulture) : UsualSteps;
        var runs = new List<(string Name, double Rate, TuningResult Result, long StateBytes)>();
        foreach (var (name, set, rates) in Optimizers)
        {
            var (settings, result) = rates.Select(rate => Tune(set, rate, steps)).MinBy(run => run.Result.Training.Validation[^1].Loss);
            runs.Add((name, settings.LearningRate, result, StateBytes(settings)));
            Console.WriteLine($"{name}: {result.Training.Validation[^1].Loss:0.000}");
        }

        var adamW = runs[0];
        double target = adamW.Result.Training.Validation[^1].Loss * 1.05;
        Console.WriteLine($"steps to a held-out loss of {target:0.000}, 5 % above AdamW's last");
        var table = new ResultTable("optimizers", "optimizer", "rate", "held out", "to adamW", "steps to", "state bytes", "of adamW's", "s/step");
        foreach (var (name, rate, result, bytes) in runs)
        {
            double last = result.Training.Validation[^1].Loss;
            object reached = result.Training.Validation.FirstOrDefault(point => point.Loss <= target) is { } point ? point.Step : "-";
            table.Add(name, rate, last, last / adamW.Result.Training.Validation[^1].Loss, reached, bytes, (double)bytes / adamW.StateBytes, result.SecondsPerStep);
        }

        table.Write();
    }

    private static (TrainAttribute Settings, TuningResult Result) Tune(Action<TrainAttribute> set, double rate, int steps)
    {
        var settings = new TrainAttribute(FineTuning.TrainText)
        {
            Validation = FineTuning.HeldOutText,
            SequenceLength = 128,
            Steps = steps,
            LearningRate = rate,
            WarmUp = 0.05,
            EvaluateEvery = Math.Max(1, steps / 12),
            KeepBest = false,
        };
        set(settings);
        return (settings, new FineTuning([new FineTune()], settings).Run());
    }

    /// <summary>Bytes of the state after one step on the weights that are trained.</summary>
    private static long StateBytes(TrainAttribute settings)
    {
        using var scope = NewDisposeScope();
        using var weights = Runtime.Formats.Safetensors.WeightStore.Open(FineTuning.Story("model.safetensors"));
        var tensors = weights.Names.Where(name => name.Contains("_proj", StringComparison.Ordinal)).Select(name => new TrainedTensor(name, weights.Read(name).requires_grad_(true))).ToList();
        using var optimizer = new Optimizer(UpdateRules.Groups(settings, tensors));
        foreach (var tensor in tensors)
        {
            using var loss = tensor.Value.square().sum();
            loss.backward();
        }

        optimizer.Step(1);
        return optimizer.StateBytes;
    }
}
