using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Optimization;

namespace PipelineDsl.Runtime.Training;

/// <summary>Which examples each optimizer step takes, and at which rate.</summary>
/// <remarks>Each epoch goes through all examples once, in an order of its own that the seed alone decides; its last step takes what is left.</remarks>
internal sealed class TrainingPlan
{
    private readonly int examples;
    private readonly int batch;
    private readonly int stepExamples;
    private readonly long seed;
    private (int Epoch, int[] Order)? current;

    /// <summary>A plan for so many examples.</summary>
    public TrainingPlan(TrainAttribute settings, int examples, long seed)
    {
        this.examples = examples;
        this.seed = seed;
        batch = settings.BatchSize;
        stepExamples = (int)Math.Min((long)settings.BatchSize * settings.Accumulation, int.MaxValue);
        StepsPerEpoch = (int)(((long)examples + stepExamples - 1) / stepExamples);
        Steps = settings.Steps > 0 ? settings.Steps : (int)Math.Clamp(Math.Round(settings.Epochs * StepsPerEpoch), 1, int.MaxValue);
        Schedule = new LearningSchedule(settings.Schedule, Steps) { WarmUp = StepsOf(settings.WarmUp), Decay = StepsOf(settings.Decay), Floor = settings.Floor, StartsAboveZero = true };
    }

    /// <summary>Optimizer steps in all.</summary>
    public int Steps { get; }

    /// <summary>Optimizer steps that go once through the data.</summary>
    public int StepsPerEpoch { get; }

    /// <summary>What the learning rate is multiplied by.</summary>
    public LearningSchedule Schedule { get; }

    /// <summary>The batches of a step, by the places of their examples.</summary>
    /// <param name="step">From 0.</param>
    public IEnumerable<int[]> BatchesOf(int step)
    {
        int epoch = step / StepsPerEpoch;
        if (current?.Epoch != epoch)
        {
            current = (epoch, SplitMix.Order(examples, SplitMix.Number((ulong)seed, epoch)));
        }

        long first = (long)(step % StepsPerEpoch) * stepExamples;
        return current.Value.Order.Skip((int)first).Take(stepExamples).Chunk(batch);
    }

    /// <summary>Below 1 a share of all steps, else their number.</summary>
    private int StepsOf(double given) => (int)Math.Min(given < 1 ? Math.Ceiling(given * Steps) : Math.Round(given), Steps);
}
