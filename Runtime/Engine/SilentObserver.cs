using PipelineDsl.Diagnostics;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Hears nothing: what is only tried out is neither a result nor a reason to warn.</summary>
internal sealed class SilentObserver : IRunObserver
{
    /// <inheritdoc/>
    public void Report(RecipeDiagnostic diagnostic)
    {
    }

    /// <inheritdoc/>
    public void Progress(string message)
    {
    }

    /// <inheritdoc/>
    public void Record(string entry)
    {
    }
}
