using System.Text;
using PipelineDsl.Diagnostics;
using PipelineDsl.Plans;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Planning;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Keeps the committed lock file and the plan together.</summary>
/// <param name="options">Whether the lock may be written or must agree.</param>
/// <param name="observer">Hears differences.</param>
internal sealed class PlanLock(RunOptions options, IRunObserver observer)
{
    private const int NamedDifferences = 3;

    /// <summary>Compares the plan with its lock file, where there is one that is not to be updated.</summary>
    /// <exception cref="PipelineException">PDSL3009: locked mode, and the plan differs.</exception>
    public void Check(PreparedRun run)
    {
        RequireFile(run);
        string path = PathFor(run);
        var differences = options.UpdateLock ? [] : Differences(run, path);
        if (differences.Count == 0)
        {
            return;
        }

        string named = string.Join("; ", differences.Take(NamedDifferences)) + (differences.Count > NamedDifferences ? $"; and {differences.Count - NamedDifferences} more" : "");
        string message = $"the plan of '{run.Recipe.Name}' differs from its lock file: {named}. Build with -p:PipelineDslUpdateLock=true to accept it";
        if (options.LockedMode)
        {
            throw new PipelineException(DiagnosticIds.PlanDiffersFromLock, message, path);
        }

        observer.Report(new(DiagnosticIds.PlanDiffersFromLock, Severity.Warning, message, SourceSpan.StartOf(path)));
    }

    /// <summary>Refuses to go on in locked mode without a lock file.</summary>
    /// <exception cref="PipelineException">PDSL3009: locked mode, and there is none.</exception>
    public void RequireFile(PreparedRun run)
    {
        string path = PathFor(run);
        if (options.LockedMode && !File.Exists(path))
        {
            throw new PipelineException(DiagnosticIds.PlanDiffersFromLock, $"locked mode needs '{Path.GetFileName(path)}' and it is not there; build once without locked mode and commit it", run.Recipe.Span);
        }
    }

    /// <summary>How the plan stands to its lock file, without a word to the user.</summary>
    /// <param name="run">The prepared recipe.</param>
    /// <param name="isFinal">Whether the plan has all its numbers.</param>
    public PlanLockState StateOf(PreparedRun run, bool isFinal)
    {
        string path = PathFor(run);
        var differences = isFinal ? Differences(run, path) : [];
        string state = !File.Exists(path) ? "missing" : !isFinal ? "unknown" : differences.Count > 0 ? "differs" : "agrees";
        return new(Path.GetRelativePath(options.ProjectDirectory, path).Replace('\\', '/'), state, differences);
    }

    private static IReadOnlyList<string> Differences(PreparedRun run, string path) =>
        File.Exists(path) ? LockFile.Differences(File.ReadAllText(path), LockFile.Write(run.Plan)) : [];

    /// <summary>Writes a missing lock and updates it on request; a run does so when it has succeeded.</summary>
    /// <returns>The lock file's path.</returns>
    public string Keep(PreparedRun run)
    {
        string path = PathFor(run);
        string planned = LockFile.Write(run.Plan);
        if (!File.Exists(path) || (options.UpdateLock && File.ReadAllText(path) != planned))
        {
            AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(planned)));
        }

        return path;
    }

    /// <summary>Next to a YAML recipe; next to the project for attributes.</summary>
    private string PathFor(PreparedRun run)
    {
        string file = run.Recipe.Span.Path;
        string folder = !file.EndsWith(".cs", StringComparison.OrdinalIgnoreCase) ? Path.GetDirectoryName(file) ?? "" : "";
        return Path.GetFullPath(Path.Combine(options.ProjectDirectory, folder, run.Recipe.Name + LockFile.Suffix));
    }
}
