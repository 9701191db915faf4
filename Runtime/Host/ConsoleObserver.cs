using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Engine;

namespace PipelineDsl.Host;

/// <summary>Writes what a run says in the forms that the build understands.</summary>
/// <param name="request">The request.</param>
internal sealed class ConsoleObserver(Request request) : IRunObserver
{
    private readonly Lock gate = new();
    private readonly List<string> lines = [];
    private readonly List<RecipeDiagnostic> diagnostics = [];

    /// <summary>Everything reported so far, as MSBuild writes it.</summary>
    public IReadOnlyList<string> Lines => lines;

    /// <summary>Everything reported so far.</summary>
    public IReadOnlyList<RecipeDiagnostic> Diagnostics => diagnostics;

    /// <inheritdoc/>
    public void Report(RecipeDiagnostic diagnostic)
    {
        var absolute = diagnostic with { Span = diagnostic.Span with { Path = Path.GetFullPath(Path.Combine(request.ProjectDirectory, diagnostic.Span.Path)) } };
        lock (gate)
        {
            string line = absolute.ToString().ReplaceLineEndings(" ");
            if (!lines.Contains(line))
            {
                lines.Add(line);
                diagnostics.Add(absolute);
                Console.WriteLine(line);
            }
        }
    }

    /// <inheritdoc/>
    public void Progress(string message)
    {
        lock (gate)
        {
            Console.WriteLine("progress: " + message);
        }
    }

    /// <inheritdoc/>
    public void Record(string entry)
    {
        lock (gate)
        {
            File.AppendAllText(request.Journal, entry + "\n");
        }
    }
}
