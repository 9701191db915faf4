using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Engine;

namespace PipelineDsl.Host;

/// <summary>Writes what a run says in the forms that the build understands.</summary>
/// <param name="request">The request.</param>
internal sealed class ConsoleObserver(Request request) : IRunObserver
{
    private readonly Lock gate = new();
    private readonly List<string> diagnostics = [];

    /// <summary>Everything reported so far, as MSBuild writes it.</summary>
    public IReadOnlyList<string> Diagnostics => diagnostics;

    /// <inheritdoc/>
    public void Report(RecipeDiagnostic diagnostic)
    {
        var absolute = diagnostic with { Span = diagnostic.Span with { Path = Path.GetFullPath(Path.Combine(request.ProjectDirectory, diagnostic.Span.Path)) } };
        lock (gate)
        {
            string line = absolute.ToString().ReplaceLineEndings(" ");
            if (!diagnostics.Contains(line))
            {
                diagnostics.Add(line);
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
