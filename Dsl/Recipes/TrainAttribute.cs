using System;
using System.Collections.Generic;
using System.Globalization;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>Trains what the recipe's adapters leave open, on data; the artifact then holds the trained model and, for other programs, the adapter.</summary>
/// <param name="data">The file, relative to the project: text, JSON lines of instructions or chats, or safetensors with <c>input</c> and <c>target</c>.</param>
[AttributeUsage(AttributeTargets.Class)]
public sealed class TrainAttribute(string data) : Attribute
{
    /// <summary>The file.</summary>
    public string Data { get; } = data;

    /// <summary>Held-out data of the same format, relative to the project: what is evaluated while training. Empty means none.</summary>
    public string Validation { get; set; } = "";

    /// <summary>How the data is read.</summary>
    public TrainingFormat Format { get; set; }

    /// <summary>Tokens a sequence, at most.</summary>
    [Within(2, int.MaxValue)]
    public int SequenceLength { get; set; } = 256;

    /// <summary>Whether several short examples share a sequence; else each has one of its own, filled up with tokens that are not scored.</summary>
    public bool Packing { get; set; } = true;

    /// <summary>How often training goes through the data.</summary>
    [Within(0, 1000000, ExclusiveMinimum = true)]
    public double Epochs { get; set; } = 1;

    /// <summary>Optimizer steps in all, in place of epochs; 0 counts by epochs.</summary>
    [Within(0, int.MaxValue)]
    public int Steps { get; set; }

    /// <summary>Sequences that go through the model at once.</summary>
    [Within(1, int.MaxValue)]
    public int BatchSize { get; set; } = 8;

    /// <summary>Batches whose gradients are summed before a step: as one batch of so many times the size, in less memory.</summary>
    [Within(1, int.MaxValue)]
    public int Accumulation { get; set; } = 1;

    /// <summary>Whether the insides of the model's repeated blocks are computed again for their gradients in place of being kept: memory for one block in place of all, for about a third more time.</summary>
    public bool GradientCheckpointing { get; set; }

    /// <summary>What moves the trained numbers.</summary>
    public TrainingOptimizer Optimizer { get; set; }

    /// <summary>The learning rate that the schedule multiplies; 0 takes the optimizer's own.</summary>
    [Within(0, 1000)]
    public double LearningRate { get; set; }

    /// <summary>Decay of trained matrices towards zero; vectors such as magnitudes are not decayed.</summary>
    [Within(0, 1000)]
    public double WeightDecay { get; set; }

    /// <summary>How much of the running mean of gradients is kept each step; unset takes the optimizer's own.</summary>
    [Within(0, 0.999999)]
    public double Beta1 { get; set; } = -1;

    /// <summary>How much of the running mean of squared gradients (of Lion, of the momentum) is kept each step; unset takes the optimizer's own.</summary>
    [Within(0, 0.99999999)]
    public double Beta2 { get; set; } = -1;

    /// <summary>The momentum of <c>sgd</c> and <c>sgdP</c>; unset takes 0.9.</summary>
    [Within(0, 0.999999)]
    public double Momentum { get; set; } = -1;

    /// <summary>The directions that <c>dctAdamW</c> and <c>gaLore</c> keep of a matrix's gradient.</summary>
    [Within(1, int.MaxValue)]
    public int OptimizerRank { get; set; } = 64;

    /// <summary>Steps between two choices of those directions; 0 takes the optimizer's own: each step for <c>dctAdamW</c>, 200 for <c>gaLore</c>.</summary>
    [Within(0, int.MaxValue)]
    public int OptimizerGap { get; set; }

    /// <summary>What becomes of the part of a gradient outside the directions that <c>dctAdamW</c> keeps.</summary>
    public ErrorFeedback ErrorFeedback { get; set; }

    /// <summary>Whether <c>adamW</c> keeps the state of large matrices in 8 bits.</summary>
    public bool EightBitState { get; set; }

    /// <summary>How the learning rate runs after the warm-up.</summary>
    public TrainingSchedule Schedule { get; set; } = TrainingSchedule.Cosine;

    /// <summary>Steps over which the rate rises from zero: below 1 a share of all steps, else their number.</summary>
    [Within(0, int.MaxValue)]
    public double WarmUp { get; set; }

    /// <summary>Steps over which the rate of <c>wsd</c> falls at the end: below 1 a share of all steps, else their number.</summary>
    [Within(0, int.MaxValue)]
    public double Decay { get; set; } = 0.2;

    /// <summary>The share of the rate that is left at the end.</summary>
    [Within(0, 1)]
    public double Floor { get; set; }

    /// <summary>The largest norm of all gradients together; larger ones are scaled down. 0 leaves them as they are.</summary>
    [Within(0, double.MaxValue)]
    public double Clip { get; set; } = 1;

    /// <summary>Steps between two evaluations on the held-out data; 0 evaluates at the end of each epoch.</summary>
    [Within(0, int.MaxValue)]
    public int EvaluateEvery { get; set; }

    /// <summary>Evaluations without a better held-out loss after which training ends; 0 never ends early.</summary>
    [Within(0, int.MaxValue)]
    public int Patience { get; set; }

    /// <summary>Whether the state with the best held-out loss is kept, in place of the last one.</summary>
    public bool KeepBest { get; set; } = true;

    /// <summary>Steps between two checkpoints, from which a killed build goes on.</summary>
    [Within(1, int.MaxValue)]
    public int CheckpointEvery { get; set; } = 50;

    /// <summary>Finds settings that contradict each other.</summary>
    /// <param name="given">The names (as in C#) of the settings that the user wrote.</param>
    public IEnumerable<StepProblem> Check(ISet<string> given)
    {
        if (Steps > 0 && given.Contains(nameof(Epochs)))
        {
            yield return Contradiction(nameof(Epochs), "'epochs' and 'steps' both say how long to train; keep one of them");
        }

        bool descends = Optimizer is TrainingOptimizer.Sgd or TrainingOptimizer.SgdP;
        foreach (string beta in new[] { nameof(Beta1), nameof(Beta2) })
        {
            bool known = !descends && !(Optimizer == TrainingOptimizer.RmsProp && beta == nameof(Beta1));
            if (!known && given.Contains(beta))
            {
                yield return Contradiction(beta, $"'{OptimizerName}' has no '{SettingDescriptor.CamelCase(beta)}'; drop it{(descends ? " or write 'momentum'" : "")}");
            }
        }

        if (!descends && given.Contains(nameof(Momentum)))
        {
            yield return Contradiction(nameof(Momentum), $"'{OptimizerName}' has no 'momentum'; drop it or write 'beta1'");
        }

        foreach (string setting in new[] { nameof(OptimizerRank), nameof(OptimizerGap) })
        {
            if (Optimizer is not (TrainingOptimizer.DctAdamW or TrainingOptimizer.GaLore) && given.Contains(setting))
            {
                yield return Contradiction(setting, $"'{OptimizerName}' keeps all directions and has no '{SettingDescriptor.CamelCase(setting)}'; drop it, or take 'dctAdamW' or 'gaLore'");
            }
        }

        if (Optimizer != TrainingOptimizer.DctAdamW && ErrorFeedback != ErrorFeedback.None)
        {
            yield return Contradiction(nameof(ErrorFeedback), $"'{OptimizerName}' has no 'errorFeedback'; drop it or take 'dctAdamW'");
        }

        if (Optimizer != TrainingOptimizer.AdamW && EightBitState)
        {
            yield return Contradiction(nameof(EightBitState), $"'{OptimizerName}' keeps no state in 8 bits; drop 'eightBitState' or take 'adamW'");
        }

        if (Schedule != TrainingSchedule.Wsd && given.Contains(nameof(Decay)))
        {
            yield return Contradiction(nameof(Decay), "'decay' is the end of the schedule 'wsd'; drop it or add 'schedule: wsd'");
        }

        if (Format != TrainingFormat.Auto && Recipes.RecipeCatalog.IsRows(Data))
        {
            yield return Contradiction(nameof(Format), $"'{Data}' holds rows of numbers, which have no 'format'; drop it");
        }

        foreach (var (setting, length) in new[] { (nameof(WarmUp), WarmUp), (nameof(Decay), Schedule == TrainingSchedule.Wsd ? Decay : 0) })
        {
            if (Steps > 0 && length >= 1 && length > Steps)
            {
                yield return Contradiction(setting, $"'{SettingDescriptor.CamelCase(setting)}' takes {length.ToString(CultureInfo.InvariantCulture)} of {Steps.ToString(CultureInfo.InvariantCulture)} steps; write fewer, or a share such as 5%");
            }
        }

        foreach (string setting in new[] { nameof(EvaluateEvery), nameof(Patience) })
        {
            if (Validation.Length == 0 && given.Contains(setting))
            {
                yield return new(DiagnosticIds.MissingSetting, setting, $"'{SettingDescriptor.CamelCase(setting)}' needs held-out data; add 'validation: <file>' or drop it");
            }
        }
    }

    private string OptimizerName => SettingDescriptor.Format(Optimizer);

    private static StepProblem Contradiction(string setting, string message) => new(DiagnosticIds.ContradictorySettings, setting, message);
}

/// <summary>How training data is read.</summary>
public enum TrainingFormat
{
    /// <summary>By the file: <c>.safetensors</c> as tensors, <c>.jsonl</c> by the keys of its first record, all else as text.</summary>
    Auto,

    /// <summary>Plain text, every token scored.</summary>
    Text,

    /// <summary>JSON lines with a prompt (<c>prompt</c>, <c>instruction</c> and perhaps <c>input</c>, or <c>question</c>) and an answer (<c>completion</c>, <c>output</c>, <c>response</c> or <c>answer</c>); only the answer is scored.</summary>
    Instructions,

    /// <summary>JSON lines with <c>messages</c>, a list of <c>role</c> and <c>content</c>; only what the assistant says is scored.</summary>
    Chat,
}

/// <summary>What moves trained numbers.</summary>
public enum TrainingOptimizer
{
    /// <summary>Adam with decay beside the gradient (arXiv:1711.05101); rate 2e-4.</summary>
    AdamW,

    /// <summary>Adam with decay in the gradient (arXiv:1412.6980); rate 2e-4.</summary>
    Adam,

    /// <summary>Stochastic gradient descent with momentum; rate 1e-2.</summary>
    Sgd,

    /// <summary>Gradients over their running root mean square; rate 1e-4.</summary>
    RmsProp,

    /// <summary>The sign of a mixed momentum (arXiv:2302.06675): half of Adam's state; rate 5e-5.</summary>
    Lion,

    /// <summary>AdamW that does not grow weights whose scale has no effect (arXiv:2006.08217); rate 2e-4.</summary>
    AdamP,

    /// <summary>Gradient descent in the same way; rate 1e-2.</summary>
    SgdP,

    /// <summary>AdamW in a few directions of a fixed cosine basis (arXiv:2505.17967); rate 2e-4.</summary>
    DctAdamW,

    /// <summary>Adam in a few singular directions of the gradient (arXiv:2403.03507); rate 2e-4.</summary>
    GaLore,
}

/// <summary>What becomes of the part of a gradient that a projection loses.</summary>
public enum ErrorFeedback
{
    /// <summary>It is lost.</summary>
    None,

    /// <summary>It is kept and added to the next gradient, in as many bytes as the weights.</summary>
    Full,

    /// <summary>The same, in 8 bits.</summary>
    Int8,
}

/// <summary>How a learning rate runs after its warm-up.</summary>
public enum TrainingSchedule
{
    /// <summary>The full rate to the end.</summary>
    Constant,

    /// <summary>Along a line to the floor.</summary>
    Linear,

    /// <summary>Along half a cosine to the floor.</summary>
    Cosine,

    /// <summary>The full rate until the last steps, then along a line to the floor.</summary>
    Wsd,
}
