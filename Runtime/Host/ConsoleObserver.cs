using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Engine;

namespace PipelineDsl.Host;

/// <summary>Writes what a run says in the forms that the build understands.</summary>
/// <param name="request">The request.</param>
internal sealed class ConsoleObserver(Request request) : IRunObserver
{
    private readonly Lock gate = new();
    private readonly HashSet<string> said = new(StringComparer.Ordinal);
    private readonly List<RecipeDiagnostic> diagnostics = [];
    private readonly List<string> lasting = [];

    /// <summary>Everything reported so far.</summary>
    public IReadOnlyList<RecipeDiagnostic> Diagnostics => diagnostics;

    /// <summary>What later builds repeat when they have nothing to do, as MSBuild writes it: all that was reported but the state of a server at this moment.</summary>
    public IReadOnlyList<string> Lasting => lasting;

    /// <inheritdoc/>
    public void Report(RecipeDiagnostic diagnostic)
    {
        var absolute = diagnostic with { Span = diagnostic.Span with { Path = Path.GetFullPath(Path.Combine(request.ProjectDirectory, diagnostic.Span.Path)) } };
        lock (gate)
        {
            string line = absolute.ToString().ReplaceLineEndings(" ");
            if (!said.Add(line))
            {
                return;
            }

            diagnostics.Add(absolute);
            Console.WriteLine(line);
            if (diagnostic.Id != DiagnosticIds.CacheServerFailed)
            {
                lasting.Add(line);
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
