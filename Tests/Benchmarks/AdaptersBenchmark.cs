using System.Globalization;
using System.Xml.Linq;
using PipelineDsl.Runtime.Report;

using static PipelineDsl.Runtime.Report.Markup;

namespace PipelineDsl.Benchmarks;

/// <summary>Every adapter, and full fine-tuning, on the same task: stories260k learns the language of plays in as many steps, with about as many trained numbers where a method's ranks allow it (bat has half as many: a rank of 8 does not divide the model's 172).</summary>
/// <remarks>Argument: optimizer steps (80 unless told). Each method runs at two learning rates; the better on the held-out text counts. A page with the curves lies beside the table.</remarks>
internal static class AdaptersBenchmark
{
    private const int UsualSteps = 80;
    private static readonly double[] Rates = [4e-3, 1.2e-2];

    private static IReadOnlyList<(string Name, Step[] Steps)> Methods =>
    [
        ("lora", [new Lora { Rank = 4, Alpha = 8 }]),
        ("rsLora", [new Lora { Rank = 4, Alpha = 4, RankStabilized = true }]),
        ("dora", [new Lora { Rank = 4, Alpha = 8, WeightDecomposed = true }]),
        ("pissa", [new Lora { Rank = 4, Alpha = 4, Start = LoraStart.Pissa }]),
        ("olora", [new Lora { Rank = 4, Alpha = 4, Start = LoraStart.Olora }]),
        ("cordaKpm", [new Corda { Rank = 4, Use = CordaUse.Adapter, Mode = CordaMode.KnowledgePreserved }]),
        ("cordaIpm", [new Corda { Rank = 4, Use = CordaUse.Adapter, Mode = CordaMode.InstructionPreviewed }]),
        ("bone", [new Bone { Rank = 8 }]),
        ("bat", [new Bat { Rank = 4 }]),
        ("soka", [new Soka { MinRank = 3, MaxRank = 3 }]),
        ("tlora", [new Tlora { Rank = 3, Alpha = 3 }]),
        ("flora", [new Flora { Ranks = "4x4", Scaling = 2 }]),
        ("qlora", [new NormalFloat { Bits = 4, BlockSize = 32 }, new Lora { Rank = 4, Alpha = 8 }]),
        ("lqLora", [new LqLora { Rank = 4, Bits = 4, BlockSize = 32, Weighted = false }]),
        ("full", [new FineTune()]),
    ];

    public static void Run(string[] arguments)
    {
        int steps = arguments.Length > 0 ? int.Parse(arguments[0], CultureInfo.InvariantCulture) : UsualSteps;
        Console.WriteLine($"stories260k, {steps} steps of 8 x 128 tokens of plays; before: plays {FineTuning.LossBefore(FineTuning.TestText):0.000}, stories {FineTuning.LossBefore(FineTuning.Story("test.txt")):0.000} nats a token");
        var table = new ResultTable("adapters", "method", "numbers", "rate", "held out", "plays", "stories", "s/step", "to lora");
        double lora = double.NaN;
        var figures = new List<XElement>();
        foreach (var (name, method) in Methods)
        {
            var (rate, best) = Rates.Select(rate => (Rate: rate, Result: Tuning(name, method, steps, rate).Run())).MinBy(run => run.Result.Training.Validation[^1].Loss);
            lora = double.IsNaN(lora) ? best.SecondsPerStep : lora;
            table.Add(name, best.Training.TrainedParameters, rate, best.Training.Validation[^1].Loss, best.PlayLoss, best.StoryLoss, best.SecondsPerStep, best.SecondsPerStep / lora);
            figures.Add(E("section", E("h2", name), LossChart.Draw(best.Training)));
        }

        table.Write();
        WritePage(figures);
        Preserve(steps);
    }

    /// <summary>CorDA's claim: at the same loss on the new text, knowledge-preserving factors forget less of the old one.</summary>
    private static void Preserve(int steps)
    {
        var lora = Constant("lora", [new Lora { Rank = 4, Alpha = 8 }], steps).Run();
        var corda = Constant("cordaKpm", [new Corda { Rank = 4, Use = CordaUse.Adapter, Mode = CordaMode.KnowledgePreserved }], steps * 3).Run();
        double target = Math.Max(lora.Training.Validation[^1].Loss, corda.Training.Validation[^1].Loss);
        int loraSteps = lora.Training.Validation.First(point => point.Loss <= target).Step;
        int cordaSteps = corda.Training.Validation.First(point => point.Loss <= target).Step;
        var equal = (Lora: Constant("lora", [new Lora { Rank = 4, Alpha = 8 }], loraSteps).Run(), Corda: Constant("cordaKpm", [new Corda { Rank = 4, Use = CordaUse.Adapter, Mode = CordaMode.KnowledgePreserved }], cordaSteps).Run());
        var table = new ResultTable("adapters-preserved", "method", "steps", "held out", "plays", "stories");
        table.Add("lora", loraSteps, equal.Lora.Training.Validation[^1].Loss, equal.Lora.PlayLoss, equal.Lora.StoryLoss);
        table.Add("cordaKpm", cordaSteps, equal.Corda.Training.Validation[^1].Loss, equal.Corda.PlayLoss, equal.Corda.StoryLoss);
        table.Write();
        double forgotten = equal.Lora.StoryLoss - equal.Corda.StoryLoss;
        Console.WriteLine(forgotten > 0
            ? $"at equal loss on plays, the knowledge-preserving start loses {forgotten:0.000} nats less on stories than LoRA"
            : $"at equal loss on plays, the knowledge-preserving start loses {-forgotten:0.000} nats MORE on stories than LoRA: the claim does not hold here");
    }

    private static FineTuning Tuning(string name, Step[] method, int steps, double rate) => new(method, Settings(steps, rate))
    {
        Calibration = name == "cordaIpm" ? FineTuning.TrainText : FineTuning.Story("train.txt"),
    };

    private static FineTuning Constant(string name, Step[] method, int steps)
    {
        var settings = Settings(steps, 2e-3);
        settings.Schedule = TrainingSchedule.Constant;
        settings.EvaluateEvery = 4;
        return Tuning(name, method, steps, 0) with { Settings = settings };
    }

    private static TrainAttribute Settings(int steps, double rate) => new(FineTuning.TrainText)
    {
        Validation = FineTuning.HeldOutText,
        SequenceLength = 128,
        Steps = steps,
        LearningRate = rate,
        WarmUp = 0.05,
        EvaluateEvery = Math.Max(1, steps / 8),
        KeepBest = false,
    };

    private static void WritePage(List<XElement> figures)
    {
        string folder = Path.GetFullPath(Environment.GetEnvironmentVariable("PIPELINEDSL_BENCH") is { Length: > 0 } chosen ? chosen : ".");
        string file = Path.Combine(folder, "adapters.html");
        File.WriteAllText(file, Document(E("html", A("lang", "en"), HtmlReport.Head("Adapters: loss by step"), E("body", E("h1", "Adapters: loss by step"), E("main", figures)))));
        Console.WriteLine($"curves in {file}");
    }
}
