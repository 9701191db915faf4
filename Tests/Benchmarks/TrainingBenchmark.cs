using System.Diagnostics;
using System.Globalization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Adapters;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Native;
using PipelineDsl.Runtime.Training;
using Stories.Model;
using TorchSharp;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Benchmarks;

/// <summary>The trainer itself: its step against a loop written by hand that does the same, its memory over a thousand steps, and runs that are killed.</summary>
/// <remarks>Arguments: kills (20 unless told), then steps of the run for memory (1000). A child process trains when the first argument is <c>child</c>.</remarks>
internal static class TrainingBenchmark
{
    private const int Rank = 8;
    private const int Batch = 8;
    private const int Length = 128;

    public static void Run(string[] arguments)
    {
        if (arguments is ["child", var folder])
        {
            Child(folder);
            return;
        }

        if (arguments is ["insides", var kept])
        {
            Insides(bool.Parse(kept));
            return;
        }

        using (var gate = FinalizerGate.Close())
        {
            Compare();
        }

        Checkpointing();

        Memory(arguments.Length > 1 ? int.Parse(arguments[1], CultureInfo.InvariantCulture) : 1000);
        Kill(arguments.Length > 0 ? int.Parse(arguments[0], CultureInfo.InvariantCulture) : 20);
    }

    /// <summary>LoRA by the trainer and by hand, in turns.</summary>
    private static void Compare()
    {
        using var adapted = new AdaptedStory();
        using var manual = new StoryByHand();
        var times = (Trainer: new List<double>(), Hand: new List<double>());
        for (int round = 0; round < 9; round++)
        {
            times.Trainer.Add(adapted.SecondsPerStep(steps: 12));
            times.Hand.Add(manual.SecondsPerStep(steps: 12));
        }

        var table = new ResultTable("training-step", "loop", "s/step", "to hand");
        table.Add("hand", Median(times.Hand), 1.0);
        table.Add("trainer", Median(times.Trainer), Median(times.Trainer) / Median(times.Hand));
        table.Write();
    }

    /// <summary>What it costs and saves to compute the insides of blocks again: a process each, for the peak of its memory.</summary>
    private static void Checkpointing()
    {
        var table = new ResultTable("training-checkpointing", "insides", "s/step", "peak MB");
        foreach (bool kept in new[] { true, false })
        {
            using var child = Process.Start(new ProcessStartInfo("dotnet", ["exec", typeof(TrainingBenchmark).Assembly.Location, "training", "insides", kept.ToString()]) { RedirectStandardOutput = true })!;
            string[] figures = child.StandardOutput.ReadToEnd().Trim().Split('\n')[^1].Split(' ');
            table.Add(kept ? "kept" : "computed again", double.Parse(figures[0], CultureInfo.InvariantCulture), double.Parse(figures[1], CultureInfo.InvariantCulture));
        }

        table.Write();
    }

    private static void Insides(bool kept)
    {
        using var gate = FinalizerGate.Close();
        using var adapted = new AdaptedStory(batch: 32, length: 256);
        double seconds = adapted.SecondsPerStep(steps: 6, recompute: !kept);
        using var process = Process.GetCurrentProcess();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{seconds:R} {process.PeakWorkingSet64 / 1048576.0:0}"));
    }

    private static void Memory(int steps)
    {
        using var gate = FinalizerGate.Close();
        using var adapted = new AdaptedStory(batch: 1, length: 32);
        var table = new ResultTable("training-memory", "step", "resident MB");
        var seen = new List<double>();
        adapted.Train(steps, position =>
        {
            if (position is { Batch: 0 } at && at.Step % (steps / 10) == 0)
            {
                using var process = Process.GetCurrentProcess();
                seen.Add(process.WorkingSet64 / 1048576.0);
                table.Add(at.Step, seen[^1]);
            }
        });
        table.Write();
        Console.WriteLine($"from a tenth of the way to the end: {seen[^1] - seen[1]:+0.0;-0.0} MB");
    }

    /// <summary>Child processes are killed at moments drawn at random and started again; what they leave is compared bit by bit.</summary>
    private static void Kill(int kills)
    {
        var root = Directory.CreateTempSubdirectory("pipelinedsl-");
        try
        {
            string undisturbed = Directory.CreateDirectory(Path.Combine(root.FullName, "undisturbed")).FullName;
            var watch = Stopwatch.StartNew();
            Start(undisturbed).WaitForExit();
            double whole = watch.Elapsed.TotalSeconds;
            byte[] expected = File.ReadAllBytes(Path.Combine(undisturbed, "trained"));
            var random = new Random(7);
            int equal = 0;
            int resumed = 0;
            for (int i = 0; i < kills; i++)
            {
                string folder = Directory.CreateDirectory(Path.Combine(root.FullName, i.ToString(CultureInfo.InvariantCulture))).FullName;
                using (var killed = Start(folder))
                {
                    // The first second is the start of the process.
                    if (!killed.WaitForExit(TimeSpan.FromSeconds((whole * 0.25) + (random.NextDouble() * whole * 0.7))))
                    {
                        killed.Kill();
                        killed.WaitForExit();
                    }
                }

                resumed += File.Exists(Path.Combine(folder, "checkpoint")) && !File.Exists(Path.Combine(folder, "trained")) ? 1 : 0;
                using (var again = Start(folder))
                {
                    again.WaitForExit();
                }

                equal += File.ReadAllBytes(Path.Combine(folder, "trained")).AsSpan().SequenceEqual(expected) ? 1 : 0;
            }

            var table = new ResultTable("training-kills", "kills", "from a checkpoint", "same bits");
            table.Add(kills, resumed, equal);
            table.Write();
        }
        finally
        {
            root.Delete(recursive: true);
        }
    }

    private static Process Start(string folder) => Process.Start(new ProcessStartInfo("dotnet", ["exec", typeof(TrainingBenchmark).Assembly.Location, "training", "child", folder]) { RedirectStandardOutput = true })!;

    private static void Child(string folder)
    {
        using var gate = FinalizerGate.Close();
        using var adapted = new AdaptedStory(batch: 2, length: 64, dropout: 0.1);
        adapted.Train(60, _ => { }, Path.Combine(folder, "checkpoint"));
        adapted.Save(Path.Combine(folder, "trained"));
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private static StoryLlama Story()
    {
        var model = new StoryLlama();
        using var weights = Runtime.Formats.Safetensors.WeightStore.Open(FineTuning.Story("model.safetensors"));
        model.load_state_dict(weights.Names.ToDictionary(name => name, weights.Read));
        foreach (var parameter in model.parameters())
        {
            parameter.requires_grad = false;
        }

        model.eval();
        return model;
    }

    private static TrainAttribute Settings(int steps, int batch = Batch, int length = Length) => new(FineTuning.TrainText) { Steps = steps, BatchSize = batch, SequenceLength = length, LearningRate = 1e-3, Schedule = TrainingSchedule.Constant, CheckpointEvery = 10 };

    private static TrainingData Data(int length = Length) => new TrainingDataReader(Settings(1, Batch, length), FineTuning.Story("tokenizer.json"), _ => { }).Read(FineTuning.TrainText);

    /// <summary>LoRA through the library.</summary>
    private sealed class AdaptedStory : IDisposable
    {
        private readonly StoryLlama model = Story();
        private readonly int batch;
        private readonly int length;
        private readonly TrainingData data;
        private readonly List<(string Path, Adapter Adapter, IDisposable Installed)> adapters = [];

        public AdaptedStory(int batch = Batch, int length = Length, double dropout = 0)
        {
            (this.batch, this.length, data) = (batch, length, Data(length));
            foreach (var layer in ModelLayer.Find(model).Where(layer => layer.Kind == LayerKinds.Linear))
            {
                var adapter = new Lora { Rank = Rank, Alpha = Rank, Dropout = dropout }.Attach(layer.Weight, LayerOperations.Of(layer.Module), adapters.Count);
                adapters.Add((layer.Path, adapter, AdapterInstaller.Install(layer, adapter)));
            }
        }

        private List<TrainedTensor> Tensors => [.. adapters.SelectMany(item => item.Adapter.Parameters.Select(parameter => new TrainedTensor($"{item.Path}.{parameter.Name}", parameter.Value)))];

        public double SecondsPerStep(int steps, bool recompute = false)
        {
            using var blocks = recompute ? new RecomputedBlocks(ModelLayer.Find(model).ToDictionary(layer => layer.Path, layer => layer.Module), [.. adapters.Select(item => (item.Path, item.Adapter))]) : null;
            var watch = new Stopwatch();
            Train(steps, position =>
            {
                blocks?.Forget();

                // The first two steps are not counted.
                if (position is { Step: 2 })
                {
                    watch.Start();
                }
            });
            return watch.Elapsed.TotalSeconds / (steps - 2);
        }

        public void Train(int steps, Action<TrainingPosition?> moveTo, string? checkpoint = null) => new Trainer(Settings(steps, batch, length), new()
        {
            Loss = batch =>
            {
                using var output = model.call(batch.Input);
                return batch.LossOf(output);
            },
            Tensors = Tensors,
            Data = data,
            Seed = 1,
            Device = CPU,
            MoveTo = position =>
            {
                moveTo(position);
                adapters.ForEach(item => item.Adapter.Pass = position is { } at ? new(at.Seed, item.Path, at.Step, at.Batch) : null);
            },
            Checkpoint = checkpoint,
            Key = "bench",
        }).Run(SourceSpan.StartOf("bench"), CancellationToken.None);

        public void Save(string path) => Runtime.Formats.Safetensors.SafetensorsWriter.Write(path, Tensors.Select(tensor => KeyValuePair.Create(tensor.Name, tensor.Value.detach())));

        public void Dispose()
        {
            adapters.ForEach(item =>
            {
                item.Installed.Dispose();
                item.Adapter.Dispose();
            });
            model.Dispose();
        }
    }

    /// <summary>The same as a user of TorchSharp writes it: hooks that add the product of two factors, TorchSharp's AdamW, clipping, a step.</summary>
    private sealed class StoryByHand : IDisposable
    {
        private readonly StoryLlama model = Story();
        private readonly TrainingData data = Data();
        private readonly List<Parameter> factors = [];
        private readonly optim.Optimizer optimizer;

        public StoryByHand()
        {
            foreach (var (_, module) in model.named_modules())
            {
                if (module is Linear linear)
                {
                    var a = new Parameter(randn(Rank, linear.in_features) / Rank);
                    var b = new Parameter(zeros(linear.out_features, Rank));
                    factors.AddRange([a, b]);
                    linear.register_forward_hook((_, x, y) => y + nn.functional.linear(nn.functional.linear(x, a), b));
                }
            }

            optimizer = optim.AdamW(factors, lr: 1e-3, weight_decay: 0);
        }

        public double SecondsPerStep(int steps)
        {
            using var gradients = enable_grad();
            var watch = new Stopwatch();
            for (int step = 0; step < steps; step++)
            {
                if (step == 2)
                {
                    watch.Start();
                }

                FinalizerGate.Drain();
                using var scope = NewDisposeScope();
                using var batch = data.Read([.. Enumerable.Range(step * Batch, Batch)]);
                optimizer.zero_grad();
                var output = model.call(batch.Input);
                var loss = nn.functional.cross_entropy(output.reshape(-1, output.shape[^1]), batch.Target!.reshape(-1), ignore_index: -100);
                loss.backward();
                nn.utils.clip_grad_norm_(factors, 1);
                optimizer.step();
                _ = loss.item<float>();
            }

            return watch.Elapsed.TotalSeconds / (steps - 2);
        }

        public void Dispose()
        {
            optimizer.Dispose();
            model.Dispose();
        }
    }
}
