using System.Text;
using PipelineDsl.Diagnostics;
using PipelineDsl.Plans;
using PipelineDsl.Runtime.Formats;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Keeps the committed lock file and the plan together.</summary>
/// <param name="options">Whether the lock may be written or must agree.</param>
/// <param name="observer">Hears differences.</param>
internal sealed class PlanLock(RunOptions options, IRunObserver observer)
{
    private const int NamedDifferences = 3;

    /// <summary>Writes a missing lock, updates it on request, and compares it otherwise.</summary>
    /// <exception cref="PipelineException">PDSL3009: locked mode, and the plan differs.</exception>
    /// <returns>The lock file's path.</returns>
    public string Check(PreparedRun run)
    {
        string path = PathFor(run);
        string planned = LockFile.Write(run.Plan);
        if (!File.Exists(path) || options.UpdateLock)
        {
            if (options.LockedMode && !File.Exists(path))
            {
                throw new PipelineException(DiagnosticIds.PlanDiffersFromLock, $"locked mode needs '{Path.GetFileName(path)}' and it is not there; build once without locked mode and commit it", run.Recipe.Span);
            }

            WriteWhenDifferent(path, planned);
            return path;
        }

        var differences = LockFile.Differences(File.ReadAllText(path), planned);
        if (differences.Count == 0)
        {
            return path;
        }

        string named = string.Join("; ", differences.Take(NamedDifferences)) + (differences.Count > NamedDifferences ? $"; and {differences.Count - NamedDifferences} more" : "");
        string message = $"the plan of '{run.Recipe.Name}' differs from its lock file: {named}. Build with -p:PipelineDslUpdateLock=true to accept it";
        if (options.LockedMode)
        {
            throw new PipelineException(DiagnosticIds.PlanDiffersFromLock, message, path);
        }

        observer.Report(new(DiagnosticIds.PlanDiffersFromLock, Severity.Warning, message, SourceSpan.StartOf(path)));
        return path;
    }

    /// <summary>Next to a YAML recipe; next to the project for attributes.</summary>
    private string PathFor(PreparedRun run)
    {
        string file = run.Recipe.Span.Path;
        string folder = file.EndsWith(".yaml", StringComparison.OrdinalIgnoreCase) ? Path.GetDirectoryName(file) ?? "" : "";
        return Path.GetFullPath(Path.Combine(options.ProjectDirectory, folder, run.Recipe.Name + LockFile.Suffix));
    }

    private static void WriteWhenDifferent(string path, string text)
    {
        if (File.Exists(path) && File.ReadAllText(path) == text)
        {
            return;
        }

        AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));
    }
}
