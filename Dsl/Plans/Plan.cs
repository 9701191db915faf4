using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;

namespace PipelineDsl.Plans;

/// <summary>A recipe resolved against a model and its weights: every layer, every step, every number.</summary>
/// <param name="Recipe">The recipe's name.</param>
/// <param name="Model">The full name of the model's class.</param>
/// <param name="Seed">The recipe's seed.</param>
/// <param name="Digests">SHA-256 of every file that goes in, by role.</param>
/// <param name="Layers">The layers that get steps, by path.</param>
public sealed record Plan(
    string Recipe,
    string Model,
    long Seed,
    IReadOnlyDictionary<string, string> Digests,
    EquatableArray<PlannedLayer> Layers)
{
    /// <summary>How what the steps leave open is trained, or null when nothing is.</summary>
    public TrainAttribute? Train { get; init; }

    /// <summary>What is looked for in the weights.</summary>
    public EquatableArray<Analyze> Analyze { get; init; }
}

/// <summary>One layer of a plan.</summary>
/// <param name="Path">Its path in the model.</param>
/// <param name="Shape">Its weight as a matrix.</param>
/// <param name="Steps">Its resolved steps, in the order they run.</param>
/// <param name="BytesBefore">Bytes of its weight as it is.</param>
/// <param name="BytesAfter">Predicted bytes of its weight.</param>
/// <param name="Span">Where the rule that chose the steps is written.</param>
public sealed record PlannedLayer(
    string Path,
    LayerShape Shape,
    EquatableArray<Step> Steps,
    long BytesBefore,
    long BytesAfter,
    SourceSpan Span)
{
    /// <summary>Stands for the steps of a layer that has none.</summary>
    internal const string NoSteps = "keep";

    /// <summary>Resolves a layer's steps and predicts what its weight will take.</summary>
    /// <param name="layer">The layer with its chain; its shape is known.</param>
    /// <param name="bytesBefore">Bytes of its weight as it is.</param>
    public static PlannedLayer Resolve(ResolvedLayer layer, long bytesBefore)
    {
        var shape = layer.Layer.Shape!;
        return new PlannedLayer(layer.Layer.Path, shape, default, bytesBefore, bytesBefore, layer.Span).With([.. layer.Steps.Select(placed => placed.Step.Resolve(shape))]);
    }

    /// <summary>The same layer with other steps, and what its weight then takes.</summary>
    public PlannedLayer With(IReadOnlyList<Step> steps)
    {
        IReadOnlyList<MatrixCost> costs = [new(Shape.Rows, Shape.Columns, BytesBefore)];
        costs = steps.Aggregate(costs, (factors, step) => step.Predict(Shape, factors));
        return this with { Steps = new(steps), BytesAfter = costs.Sum(cost => cost.Bytes) };
    }

    /// <summary>The steps in one line; a layer that a budget left as it is has none.</summary>
    public string Describe() => Steps.Count == 0 ? NoSteps : string.Join(" | ", Steps);
}
