using PipelineDsl.Diagnostics;

namespace PipelineDsl.Tasks.Tests;

public sealed class CodesTests
{
    [Fact]
    public void The_tasks_log_the_codes_of_the_language()
    {
        Codes.HostNotFound.ShouldBe(DiagnosticIds.HostNotFound);
        Codes.HostCrashed.ShouldBe(DiagnosticIds.HostCrashed);
        Codes.OldSystemLibrary.ShouldBe(DiagnosticIds.OldSystemLibrary);
        Codes.UnlistedRecipe.ShouldBe(DiagnosticIds.UnlistedRecipe);
    }

    [Fact]
    public void The_task_assembly_references_no_other_project()
    {
        IEnumerable<string> references = typeof(CompressModels).Assembly.GetReferencedAssemblies().Select(name => name.Name!);
        references.ShouldBe(["netstandard", "Microsoft.Build.Utilities.Core", "Microsoft.Build.Framework"], ignoreOrder: true);
    }
}
