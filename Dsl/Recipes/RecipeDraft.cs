using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Recipes;

/// <summary>A recipe as one place says it, from attributes or YAML: anything may be missing, because it is wrong or because another recipe gives it.</summary>
public sealed record RecipeDraft
{
    /// <summary>The artifact's name.</summary>
    public string? Name { get; init; }

    /// <summary>The full name of the model's class.</summary>
    public WrittenText? Model { get; init; }

    /// <summary>The weights.</summary>
    public WrittenText? Weights { get; init; }

    /// <summary>The tokenizer.</summary>
    public WrittenText? Tokenizer { get; init; }

    /// <summary>The random seed.</summary>
    public long? Seed { get; init; }

    /// <summary>The data that statistics are collected on.</summary>
    public Calibration? Calibrate { get; init; }

    /// <summary>How what the steps leave open is trained.</summary>
    public FineTuning? Train { get; init; }

    /// <summary>How large the artifact may be.</summary>
    public Budget? Budget { get; init; }

    /// <summary>How the budget is shared out.</summary>
    public WrittenAllocation? Allocate { get; init; }

    /// <summary>How quality is measured.</summary>
    public Evaluation? Evaluate { get; init; }

    /// <summary>What is looked for in the weights that the recipe leaves, or null when it does not say.</summary>
    public EquatableArray<PlacedAnalysis>? Analyze { get; init; }

    /// <summary>Layouts of other programs that the artifact is also written in.</summary>
    public WrittenExport? Export { get; init; }

    /// <summary>The name of the recipe that this one starts from.</summary>
    public WrittenText? Extends { get; init; }

    /// <summary>The rules, in the order written.</summary>
    public EquatableArray<Rule> Rules { get; init; }

    /// <summary>Where the name is written, or else the start of the file.</summary>
    public required SourceSpan Span { get; init; }
}

/// <summary>A text and where it is written.</summary>
/// <param name="Text">The text.</param>
/// <param name="Span">Where.</param>
public sealed record WrittenText(string Text, SourceSpan Span);

/// <summary>Layouts of other programs and where they are written.</summary>
/// <param name="Formats">The layouts.</param>
/// <param name="Span">Where.</param>
public sealed record WrittenExport(ExportFormats Formats, SourceSpan Span);

/// <summary>A draft with everything that is wrong in it.</summary>
/// <param name="Draft">What could be understood.</param>
/// <param name="Diagnostics">What could not.</param>
public sealed record ParsedRecipe(RecipeDraft Draft, EquatableArray<RecipeDiagnostic> Diagnostics)
{
    /// <summary>Whether the recipe cannot be used.</summary>
    public bool HasErrors => Diagnostics.Any(diagnostic => diagnostic.Severity == Severity.Error);
}
