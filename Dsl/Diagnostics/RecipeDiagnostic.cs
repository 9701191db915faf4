using System;

namespace PipelineDsl.Diagnostics;

/// <summary>One thing wrong at one place.</summary>
/// <param name="Id">One of <see cref="DiagnosticIds"/>.</param>
/// <param name="Severity">How bad it is.</param>
/// <param name="Message">What is wrong, with the value, and what to do.</param>
/// <param name="Span">Where.</param>
public sealed record RecipeDiagnostic(string Id, Severity Severity, string Message, SourceSpan Span)
{
    /// <summary>What to write at the place instead, where one thing is meant; else null.</summary>
    public string? Replacement { get; init; }

    /// <summary>The line that MSBuild recognises and editors make clickable.</summary>
    public override string ToString() => $"{Span}: {(Severity == Severity.Error ? "error" : Severity == Severity.Warning ? "warning" : "message")} {Id}: {Message}";
}

/// <summary>A failure with a code, a place and a cure, reported to the user as it is.</summary>
/// <param name="diagnostic">What is wrong and where.</param>
/// <param name="inner">The cause, if another failure.</param>
public sealed class PipelineException(RecipeDiagnostic diagnostic, Exception? inner = null) : Exception(diagnostic.Message, inner)
{
    /// <summary>A failure in a file.</summary>
    public PipelineException(string id, string message, string path, Exception? inner = null)
        : this(new RecipeDiagnostic(id, Severity.Error, message, SourceSpan.StartOf(path)), inner)
    {
    }

    /// <summary>A failure at a place.</summary>
    public PipelineException(string id, string message, SourceSpan span, Exception? inner = null)
        : this(new RecipeDiagnostic(id, Severity.Error, message, span), inner)
    {
    }

    /// <summary>What is wrong and where.</summary>
    public RecipeDiagnostic Diagnostic { get; } = diagnostic;
}
