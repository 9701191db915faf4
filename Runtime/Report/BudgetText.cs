using System.Globalization;
using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Runtime.Report;

/// <summary>Tells in words how a budget was spent.</summary>
internal static class BudgetText
{
    /// <summary>The sentences above the table of layers.</summary>
    public static IEnumerable<string> Sentences(AllocationRecord allocation)
    {
        yield return $"The budget {allocation.Budget} allows {Figures.Bytes(allocation.BudgetBytes)} for all tensors of the artifact (1 KB = 1024 bytes); {Figures.Bytes(allocation.PlannedBytes)} are used. The smallest that this recipe can meet is {Figures.Bytes(allocation.SmallestBytes)}.";
        yield return allocation.Method switch
        {
            "predicted" when allocation.MeasuredDistortion is not null => "Ranks and configurations were chosen so that the predicted loss of the model on the calibration data is least: each layer's share of energy given up, in its own metric, times how much that loss answers to it with all layers compressed.",
            "predicted" => "Ranks and configurations were chosen so that the sum over the layers of the share of energy given up, each in its layer's own metric, is least. That compares layers by a proxy: equal shares need not hurt the model equally.",
            "measured" => "Ranks and configurations were chosen so that the sum over the layers of what each, compressed alone, adds to the loss on the calibration data is least.",
            "uniform" => "Every layer keeps the same share of its parameters.",
            _ => "Layers whose spectrum has a heavier tail keep more (FARMS); no data was looked at.",
        };
        if (allocation.PredictedDistortion is { } sum)
        {
            string bound = allocation.LowerBound is { } least ? string.Create(CultureInfo.InvariantCulture, $", and no choice within the budget is below {least:0.####}") : "";
            string measured = allocation.MeasuredDistortion is { } joint ? string.Create(CultureInfo.InvariantCulture, $"; with all layers compressed at once the loss rose by {joint:0.####}") : "";
            yield return string.Create(CultureInfo.InvariantCulture, $"The sum of the layers' parts is {sum:0.####}{bound}{measured}.");
        }

        if (allocation.Note is { } note)
        {
            yield return note;
        }
    }
}
