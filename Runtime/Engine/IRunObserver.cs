using PipelineDsl.Diagnostics;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Hears what a run has to say.</summary>
public interface IRunObserver
{
    /// <summary>A problem or advice at a place in the user's files; the path may be relative to the project.</summary>
    void Report(RecipeDiagnostic diagnostic);

    /// <summary>What is going on, for people.</summary>
    void Progress(string message);

    /// <summary>What was done, for the journal: one line a unit of work.</summary>
    void Record(string entry);
}
