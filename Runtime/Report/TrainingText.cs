using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Runtime.Report;

/// <summary>How training went, in words.</summary>
internal static class TrainingText
{
    /// <summary>What was trained, how long, which state was kept, and what the adapter's format could not hold.</summary>
    public static IEnumerable<string> Sentences(TrainingRecord training)
    {
        yield return $"{Figures.Whole(training.TrainedParameters)} numbers were trained beside a model of {Figures.Whole(training.ModelParameters)}, with {training.Optimizer} at a rate of {Figures.Number(training.LearningRate)}: "
            + $"{Figures.Count(training.Steps, "step")} over {Figures.Count(training.Tokens, "target")}{(training.Steps < training.PlannedSteps ? $", of {Figures.Whole(training.PlannedSteps)} planned: the held-out loss fell no more" : "")}.";
        if (training.Validation.Count > 0)
        {
            string kept = training.KeptStep == 0 ? "no state was better than the start, which was kept" : $"the state after step {Figures.Whole(training.KeptStep)} was kept";
            yield return $"Held-out loss {Figures.Metric(training.Validation[0].Loss)} at first and {Figures.Metric(training.Validation.Min(point => point.Loss))} at best; {kept}.";
        }

        if (training.Adapter is { Approximated.Count: > 0 } adapter)
        {
            yield return $"An adapter of type {adapter.Type} does not hold the change of {Figures.Count(adapter.Approximated.Count, "layer")} exactly; the share that rank {Figures.Whole(adapter.Rank)} loses: "
                + $"{string.Join(", ", adapter.Approximated.Select(layer => $"{layer.Key} {Figures.Percent(layer.Value)}"))}. The artifact's own weights hold all of it.";
        }
    }
}
