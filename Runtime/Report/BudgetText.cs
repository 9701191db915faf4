using System.Globalization;
using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Runtime.Report;

/// <summary>Tells in words how a budget was spent.</summary>
internal static class BudgetText
{
    /// <summary>The columns of the table of layers.</summary>
    public static readonly string[] Columns = ["Layer", "Choice", "Size", "Predicted", "Measured", "Next cheaper", "Next dearer", "Why"];

    /// <summary>The cells of a layer's row after its path and choice.</summary>
    /// <remarks>Predicted is what the choice was taken to cost, measured what it did cost: its part of the loss with all layers compressed, or the loss with it alone.</remarks>
    public static string[] Cells(AllocationRecord allocation, AllocatedLayer layer)
    {
        bool alone = allocation.Method == "measured";
        bool measured = alone || allocation.MeasuredDistortion is not null;
        return
        [
            Figures.Bytes(layer.Bytes),
            Distortion(alone ? null : layer.Chosen?.Distortion),
            Distortion(measured ? layer.Distortion : null),
            Alternative(layer.Cheaper),
            Alternative(layer.Dearer),
            layer.Reason,
        ];
    }

    /// <summary>The sentences above the table of layers.</summary>
    public static IEnumerable<string> Sentences(AllocationRecord allocation)
    {
        yield return $"The budget {allocation.Budget} allows {Figures.Bytes(allocation.BudgetBytes)} for all tensors of the artifact (1 KB = 1024 bytes); {Figures.Bytes(allocation.PlannedBytes)} are used. The smallest that this recipe can meet is {Figures.Bytes(allocation.SmallestBytes)}.";
        yield return allocation.Method switch
        {
            "predicted" when allocation.MeasuredDistortion is not null => "Ranks, bits and configurations were chosen so that the predicted loss of the model on the calibration data is least: each layer's share of energy given up, in the metric of its steps, times how much that loss answers to it with all layers compressed.",
            "predicted" => "Ranks, bits and configurations were chosen so that the sum over the layers of the share of energy given up, each in the metric of its layer's steps, is least. That compares layers by a proxy: equal shares need not hurt the model equally.",
            "measured" => "Ranks, bits and configurations were chosen so that the sum over the layers of what each, compressed alone, adds to the loss on the calibration data is least.",
            "mostSensitiveFirst" => "Choices were dropped from the one that adds most to the loss on the calibration data, of each layer compressed alone, until the smallest that were left fitted (ASVD's search).",
            "equalLoss" => "Every layer got its smallest choice within one limit on what it adds, compressed alone, to the loss on the calibration data; the limit is the least that fitted (LoRD's search).",
            "uniform" => "Every layer keeps the same share of its parameters, and all have the same bits, as far as these were left open.",
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

        if (allocation.Layers.Any(layer => layer.Chosen is not null))
        {
            yield return "Why a layer got what it got: beside its choice stand the best one in fewer bytes and the cheapest one that loses less, each with its bytes and with what it was taken to cost.";
        }
    }

    private static string Distortion(double? distortion) => distortion?.ToString("0.####", CultureInfo.InvariantCulture) ?? Figures.Missing;

    private static string Alternative(AllocatedChoice? choice) => choice is null ? Figures.Missing : $"{choice.Name}: {Figures.Bytes(choice.Bytes)}, {Distortion(choice.Distortion)}";
}
