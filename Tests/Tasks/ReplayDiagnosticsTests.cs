namespace PipelineDsl.Tasks.Tests;

public sealed class ReplayDiagnosticsTests
{
    [Fact]
    public void Warnings_of_an_earlier_run_are_said_again()
    {
        string list = Path.GetTempFileName();
        File.WriteAllLines(list, ["/p/a.recipe.yaml(3,5,3,9): warning PDSL3014: rank 9 was too much"]);
        var log = new BuildLog();

        new ReplayDiagnostics { BuildEngine = log, DiagnosticsList = list }.Execute().ShouldBeTrue();

        log.Warnings.ShouldHaveSingleItem().Code.ShouldBe("PDSL3014");
        File.Delete(list);
    }
}
