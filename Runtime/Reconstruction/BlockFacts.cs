using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>What is reported about the training of a block, on the samples trained on and on those held out.</summary>
/// <param name="error">The block's error.</param>
/// <param name="result">The training.</param>
internal sealed class BlockFacts(BlockError error, BlockTrainingResult result)
{
    /// <summary>
    /// <c>blockLossBefore</c>, <c>blockLossAfter</c>, <c>heldOutBefore</c>, <c>heldOutAfter</c> (mean squared errors of the stored states), <c>blockLossRounded</c> and <c>heldOutRounded</c> of rounding
    /// to nearest, <c>bestStep</c>.
    /// </summary>
    /// <param name="start">The state before.</param>
    /// <param name="best">The state after.</param>
    /// <param name="rounded">The layers rounded to nearest, or null; disposed here.</param>
    public IReadOnlyDictionary<string, double> All(IReadOnlyList<HardWeight> start, IReadOnlyList<HardWeight> best, IReadOnlyList<HardWeight>? rounded)
    {
        var facts = new Dictionary<string, double>
        {
            ["blockLossBefore"] = result.StartLoss,
            ["blockLossAfter"] = result.BestLoss,
            ["bestStep"] = result.BestStep,
        };
        AddHeldOut(facts, "heldOutBefore", start);
        AddHeldOut(facts, "heldOutAfter", best);
        if (rounded is not null)
        {
            using var scope = NewDisposeScope();
            facts["blockLossRounded"] = error.Measure([.. rounded.Select(weight => weight.State)]);
            AddHeldOut(facts, "heldOutRounded", rounded);
            foreach (var weight in rounded)
            {
                weight.Weight.Dispose();
            }
        }

        return facts;
    }

    private void AddHeldOut(Dictionary<string, double> facts, string name, IReadOnlyList<HardWeight> weights)
    {
        using var scope = NewDisposeScope();
        if (error.MeasureHeldOut([.. weights.Select(weight => weight.State)]) is { } loss)
        {
            facts[name] = loss;
        }
    }
}
