namespace PipelineDsl.Host;

/// <summary>How the worker ended, as its process tells the build.</summary>
internal enum ExitCode
{
    /// <summary>Everything was done.</summary>
    Done,

    /// <summary>Something is wrong, and was reported.</summary>
    Diagnosed,

    /// <summary>The build was cancelled.</summary>
    Cancelled,

    /// <summary>The pipeline itself failed.</summary>
    Internal,
}
