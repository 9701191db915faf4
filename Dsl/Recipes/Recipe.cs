using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Recipes;

/// <summary>What a user wants done to a model, from attributes or YAML: bound and checked, not yet resolved against weights.</summary>
public sealed record Recipe
{
    /// <summary>The artifact's name.</summary>
    public required string Name { get; init; }

    /// <summary>The full name of the model's class.</summary>
    public required string Model { get; init; }

    /// <summary>The weights, relative to the project: a safetensors file or a folder of shards.</summary>
    public required string Weights { get; init; }

    /// <summary>The tokenizer, relative to the project, or null: <c>tokenizer.json</c> beside the weights.</summary>
    public string? Tokenizer { get; init; }

    /// <summary>The random seed that every random choice derives from.</summary>
    public long Seed { get; init; }

    /// <summary>The data that flows through the model to collect statistics.</summary>
    public Calibration? Calibrate { get; init; }

    /// <summary>How what the steps leave open is trained, or null when nothing is.</summary>
    public FineTuning? Train { get; init; }

    /// <summary>How large the artifact may be, or null where the recipe names every number itself.</summary>
    public Budget? Budget { get; init; }

    /// <summary>How the budget is shared out.</summary>
    public AllocationMethod Allocate { get; init; }

    /// <summary>How quality is measured and what loss of it is accepted.</summary>
    public Evaluation? Evaluate { get; init; }

    /// <summary>What is looked for in the weights that the recipe leaves.</summary>
    public EquatableArray<PlacedAnalysis> Analyze { get; init; }

    /// <summary>Layouts of other programs that the artifact is also written in.</summary>
    public ExportFormats Export { get; init; }

    /// <summary>Which layers get which steps, in the order of the recipe.</summary>
    public EquatableArray<Rule> Rules { get; init; }

    /// <summary>Where the recipe is written.</summary>
    public required SourceSpan Span { get; init; }

    /// <summary>Where the weights are named.</summary>
    public required SourceSpan WeightsSpan { get; init; }

    /// <summary>Where the tokenizer is named, or null when it is not.</summary>
    public SourceSpan? TokenizerSpan { get; init; }

    /// <summary>Where the exports are named, or null when they are not.</summary>
    public SourceSpan? ExportSpan { get; init; }
}

/// <summary>The data that statistics are collected on.</summary>
/// <param name="Data">The file, relative to the project: text, or safetensors with <c>input</c> and optionally <c>target</c>.</param>
/// <param name="Samples">The number of samples; 0 takes all.</param>
/// <param name="SequenceLength">Tokens a sample, for text.</param>
/// <param name="Span">Where the entry is written.</param>
/// <param name="DataSpan">Where the file is named.</param>
public sealed record Calibration(string Data, int Samples, int SequenceLength, SourceSpan Span, SourceSpan DataSpan);

/// <summary>How quality is measured.</summary>
/// <param name="Data">The file, relative to the project.</param>
/// <param name="Metric">The measure.</param>
/// <param name="SequenceLength">Tokens a window, for text.</param>
/// <param name="MaxRegression">The relative loss of quality that fails the build, or null for none.</param>
/// <param name="Span">Where the limit (or else the entry) is written.</param>
/// <param name="DataSpan">Where the file is named.</param>
public sealed record Evaluation(string Data, Metric Metric, int SequenceLength, double? MaxRegression, SourceSpan Span, SourceSpan DataSpan);

/// <summary>How a recipe trains.</summary>
/// <param name="Settings">What the user asks for.</param>
/// <param name="Given">The settings that the user wrote.</param>
/// <param name="Span">Where the entry is written.</param>
/// <param name="DataSpan">Where the file is named.</param>
public sealed record FineTuning(TrainAttribute Settings, EquatableArray<GivenSetting> Given, SourceSpan Span, SourceSpan DataSpan)
{
    /// <summary>Where a setting's value is written, or else the entry.</summary>
    public SourceSpan SpanOf(string? setting) => Given.FirstOrDefault(given => given.Name == setting)?.Span ?? Span;
}

/// <summary>Steps for the layers whose path matches a pattern.</summary>
/// <param name="Match">A layer path or a glob: <c>*</c> within a segment, <c>**</c> across segments, <c>{a,b}</c> alternatives.</param>
/// <param name="Steps">The steps, in the order written.</param>
/// <param name="Span">Where the pattern is written.</param>
/// <param name="Level">0 for a recipe that stands alone; a recipe that extends another stands one level above it and wins layer by layer.</param>
public sealed record Rule(string Match, EquatableArray<PlacedStep> Steps, SourceSpan Span, int Level = 0);

/// <summary>A step and where it is written.</summary>
/// <param name="Step">The step.</param>
/// <param name="Given">The settings that the user wrote.</param>
/// <param name="Span">Where the step is written.</param>
public sealed record PlacedStep(Step Step, EquatableArray<GivenSetting> Given, SourceSpan Span)
{
    /// <summary>Where a setting's value is written, or else the step.</summary>
    public SourceSpan SpanOf(string? setting) => Given.FirstOrDefault(given => given.Name == setting)?.Span ?? Span;
}

/// <summary>Something to look for and where it is written.</summary>
/// <param name="Analysis">The settings.</param>
/// <param name="Given">The settings that the user wrote.</param>
/// <param name="Span">Where the entry is written.</param>
public sealed record PlacedAnalysis(Analyze Analysis, EquatableArray<GivenSetting> Given, SourceSpan Span)
{
    /// <summary>Where a setting's value is written, or else the entry.</summary>
    public SourceSpan SpanOf(string? setting) => Given.FirstOrDefault(given => given.Name == setting)?.Span ?? Span;
}

/// <summary>A setting that the user wrote.</summary>
/// <param name="Name">Its name in C#.</param>
/// <param name="Span">Where its value is written.</param>
public sealed record GivenSetting(string Name, SourceSpan Span);
