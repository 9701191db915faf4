namespace PipelineDsl.Runtime.Optimization;

/// <summary>What a learning rate is multiplied by in each step.</summary>
/// <param name="Shape">How it runs after the warm-up.</param>
/// <param name="Steps">T, optimizer steps in all.</param>
public sealed record LearningSchedule(TrainingSchedule Shape, int Steps)
{
    /// <summary>Steps over which the rate rises from zero to its full value.</summary>
    public int WarmUp { get; init; }

    /// <summary>Steps of <see cref="TrainingSchedule.Wsd"/> over which the rate falls at the end.</summary>
    public int Decay { get; init; }

    /// <summary>The share of the rate that is left at the end.</summary>
    public double Floor { get; init; }

    /// <summary>Whether the first step of the warm-up already has a rate above zero: (t + 1) / w instead of t / w.</summary>
    public bool StartsAboveZero { get; init; }

    /// <summary>The factor of a step.</summary>
    /// <param name="step">t, from 0; steps past the end have that of the end.</param>
    public double At(int step)
    {
        if (step < WarmUp)
        {
            return (double)(StartsAboveZero ? step + 1 : step) / Math.Max(1, WarmUp);
        }

        double progress = Math.Min(1, (double)(step - WarmUp) / Math.Max(1, Steps - WarmUp));
        return Shape switch
        {
            TrainingSchedule.Constant => 1,
            TrainingSchedule.Linear => Floor + ((1 - Floor) * (1 - progress)),
            TrainingSchedule.Cosine => Floor + ((1 - Floor) * 0.5 * (1 + Math.Cos(Math.PI * progress))),
            TrainingSchedule.Wsd => Floor + ((1 - Floor) * (1 - Math.Clamp((double)(step - (Steps - Decay)) / Math.Max(1, Decay), 0, 1))),
            _ => throw new ArgumentOutOfRangeException(nameof(step), Shape, "unknown schedule"),
        };
    }
}
