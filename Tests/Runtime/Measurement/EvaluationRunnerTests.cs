using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Measurement;
using PipelineDsl.Runtime.Tests.Engine;

namespace PipelineDsl.Runtime.Tests.Measurement;

public sealed class EvaluationRunnerTests : IDisposable
{
    private readonly TwoLayersProject project = new();

    private static Recipe Small(Metric metric = Metric.Loss, double? limit = null) => TwoLayersProject.Recipe(("*", [new Quantize { Bits = 3, GroupSize = 8 }])) with
    {
        Evaluate = new(TwoLayersProject.DataFile, metric, 2, limit, TwoLayersProject.Span(4), TwoLayersProject.Span(4)),
    };

    public void Dispose() => project.Dispose();

    [Theory]
    [InlineData(Metric.Loss)]
    [InlineData(Metric.Accuracy)]
    public void An_artifact_is_worth_what_its_build_measured(Metric metric)
    {
        var quality = project.NewRun().Execute(new TwoLayersPipeline(Small(metric))).Manifest.Quality!;
        var (report, said, diagnostics) = Evaluate(Small(metric));
        report.ShouldNotBeNull();
        report.Original.ShouldBe(quality.Before, 1e-6);
        report.Compressed.ShouldBe(quality.After, 1e-6);
        report.Regression.ShouldBe(quality.Regression, 1e-6);
        (report.RecordedOriginal, report.RecordedCompressed, report.Passed).ShouldBe((quality.Before, quality.After, true));
        said.ShouldContain(line => line.Contains("before") && line.Contains("no limit is set") && line.Contains("the build measured"));
        diagnostics.ShouldBeEmpty();
        EvaluationRunner.ToJson([report]).ShouldContain("\"recordedCompressed\": ");
    }

    [Fact]
    public void A_limit_that_came_later_is_held_against_the_artifact_as_it_is()
    {
        project.NewRun().Execute(new TwoLayersPipeline(Small()));
        var (report, said, diagnostics) = Evaluate(Small(limit: 1e-9));
        report!.Passed.ShouldBeFalse();
        said.ShouldContain(line => line.EndsWith("failed", StringComparison.Ordinal) || line.Contains("allowed: failed"));
        diagnostics.ShouldHaveSingleItem().ShouldSatisfyAllConditions(diagnostic => diagnostic.Id.ShouldBe(DiagnosticIds.GateFailed), diagnostic => diagnostic.Severity.ShouldBe(Severity.Error));
        Evaluate(Small(limit: 10)).Report!.Passed.ShouldBeTrue();
    }

    [Fact]
    public void Without_an_artifact_the_error_says_what_to_do() =>
        Should.Throw<PipelineException>(() => Evaluate(Small())).ShouldSatisfyAllConditions(
            failure => failure.Diagnostic.Id.ShouldBe(DiagnosticIds.ArtifactRefused),
            failure => failure.Message.ShouldContain("build the project"));

    [Fact]
    public void An_exchanged_artifact_is_refused_and_other_weights_are_told()
    {
        var run = project.NewRun();
        run.Execute(new TwoLayersPipeline(Small()));
        var manifest = ManifestFile.Read(run.Artifact);
        manifest.Sources["weights"] = manifest.Sources["weights"] with { Sha256 = new string('0', 64) };
        File.WriteAllText(Path.Combine(run.Artifact, ArtifactFiles.Manifest), ManifestFile.Write(manifest));
        Evaluate(Small()).Diagnostics.ShouldHaveSingleItem().Severity.ShouldBe(Severity.Warning);

        File.AppendAllText(Path.Combine(run.Artifact, ArtifactFiles.Weights), "x");
        Should.Throw<PipelineException>(() => Evaluate(Small())).Diagnostic.Id.ShouldBe(DiagnosticIds.ArtifactRefused);
    }

    [Fact]
    public void A_recipe_that_measures_nothing_says_so()
    {
        var (report, said, _) = Evaluate(Small() with { Evaluate = null });
        report.ShouldBeNull();
        said.ShouldHaveSingleItem().ShouldContain("has no 'evaluate'");
    }

    private (EvaluationReport? Report, IReadOnlyList<string> Said, IReadOnlyList<RecipeDiagnostic> Diagnostics) Evaluate(Recipe recipe)
    {
        var listener = new Listener();
        var options = new RunOptions { ProjectDirectory = project.Folder, OutputDirectory = project.In("models"), CacheDirectory = project.In("cache"), CodeFingerprint = "1" };
        return (new EvaluationRunner(options, listener).Evaluate(new TwoLayersPipeline(recipe), CancellationToken.None), listener.Said, listener.Diagnostics);
    }

    private sealed class Listener : IRunObserver
    {
        public List<string> Said { get; } = [];

        public List<RecipeDiagnostic> Diagnostics { get; } = [];

        public void Report(RecipeDiagnostic diagnostic) => Diagnostics.Add(diagnostic);

        public void Progress(string message) => Said.Add(message);

        public void Record(string entry)
        {
        }
    }
}
