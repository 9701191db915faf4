using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

namespace PipelineDsl.Tasks;

/// <summary>Logs again what the host said in the run that an up-to-date build relies on.</summary>
[MSBuildMultiThreadableTask]
public sealed class ReplayDiagnostics : Task
{
    /// <summary>Full path of the list of canonical lines that the host wrote.</summary>
    [Required]
    public string DiagnosticsList { get; set; } = "";

    /// <inheritdoc/>
    public override bool Execute()
    {
        foreach (string line in File.ReadAllLines(DiagnosticsList))
        {
            Log.LogMessageFromText(line, MessageImportance.Low);
        }

        return !Log.HasLoggedErrors;
    }
}
