using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Recipes;

/// <summary>Takes the places out of a recipe.</summary>
public static class RecipePlaces
{
    private static readonly SourceSpan Nowhere = SourceSpan.StartOf("");

    /// <summary>The recipe as if written nowhere: two of them are equal when they say the same, in attributes or YAML.</summary>
    public static Recipe WithoutPlaces(this Recipe recipe) => recipe with
    {
        Calibrate = recipe.Calibrate is { } calibrate ? calibrate with { Span = Nowhere, DataSpan = Nowhere } : null,
        Train = recipe.Train is { } train ? train with { Given = Bare(train.Given), Span = Nowhere, DataSpan = Nowhere } : null,
        Budget = recipe.Budget is { } budget ? budget with { Span = Nowhere } : null,
        Evaluate = recipe.Evaluate is { } evaluate ? evaluate with { Span = Nowhere, DataSpan = Nowhere } : null,
        Analyze = new(recipe.Analyze.Select(analysis => analysis with { Given = Bare(analysis.Given), Span = Nowhere })),
        Rules = new(recipe.Rules.Select(rule => rule with { Steps = WithoutPlaces(rule.Steps), Span = Nowhere })),
        Span = Nowhere,
        WeightsSpan = Nowhere,
        TokenizerSpan = null,
        ExportSpan = null,
    };

    /// <summary>Steps as if written nowhere.</summary>
    public static EquatableArray<PlacedStep> WithoutPlaces(this EquatableArray<PlacedStep> steps) => new(steps.Select(step => step with { Given = Bare(step.Given), Span = Nowhere }));

    private static EquatableArray<GivenSetting> Bare(EquatableArray<GivenSetting> given) => new(given.Select(setting => setting with { Span = Nowhere }));
}
