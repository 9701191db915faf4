namespace PipelineDsl.Diagnostics;

/// <summary>How bad a diagnostic is.</summary>
public enum Severity
{
    /// <summary>Advice.</summary>
    Info,

    /// <summary>Allowed, probably not meant.</summary>
    Warning,

    /// <summary>The artifact would be wrong.</summary>
    Error,
}
