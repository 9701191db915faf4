using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Native;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Measurement;

/// <summary>Measures an existing artifact again, in the model as an application loads it, on the recipe's evaluation data.</summary>
/// <remarks>Nothing is taken from the cache: data, code and machine are those of now.</remarks>
/// <param name="options">Where artifacts and data lie.</param>
/// <param name="observer">Hears problems and results.</param>
public sealed class EvaluationRunner(RunOptions options, IRunObserver observer)
{
    private const int Schema = 1;

    private static readonly JsonSerializerOptions Options = new(JsonLayout.Options)
    {
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    /// <summary>What <c>evaluation.json</c> holds: <c>schema</c>, and in <c>recipes</c> the names of <see cref="EvaluationReport"/> in camel case; ends in a line feed.</summary>
    public static string ToJson(IReadOnlyList<EvaluationReport> reports) => JsonSerializer.Serialize(new { Schema, Recipes = reports }, Options) + "\n";

    /// <summary>Measures the artifact of one recipe. A limit that is not kept is reported as PDSL3008.</summary>
    /// <returns>What was measured, or null when the recipe measures nothing.</returns>
    /// <exception cref="PipelineException">PDSL3010: there is no artifact, or it does not fit the model. PDSL3005: the data cannot be used. Otherwise something is wrong with the recipe, with its code and place.</exception>
    /// <exception cref="RunFailedException">Something is wrong and was reported already.</exception>
    /// <exception cref="OperationCanceledException">The evaluation was cancelled.</exception>
    public EvaluationReport? Evaluate(IModelPipeline pipeline, CancellationToken cancellation)
    {
        var recipe = pipeline.Recipe;
        if (recipe.Evaluate is not { } evaluate)
        {
            observer.Progress($"{recipe.Name}: nothing to evaluate, for the recipe has no 'evaluate'");
            return null;
        }

        string folder = Path.Combine(options.OutputDirectory, recipe.Name);
        var manifest = ManifestFile.Read(folder);
        var artifact = Artifact.Open(folder, recipe.Model);
        using var gate = FinalizerGate.Close();
        using var run = new Planner(options, observer).Prepare(pipeline);
        WarnOfOtherWeights(run, manifest, folder);
        observer.Progress($"{recipe.Name}: evaluating '{folder}' on {evaluate.Data}");
        double original = Measure(pipeline, run, run.Model, evaluate, cancellation);
        EvaluationPhase.RequireMeasurable(evaluate, original);
        using var model = UserCode.Call(recipe, "its constructor failed", pipeline.CreateModule);
        artifact.Fill(model, pipeline.IsOnlyLookedUp, artifact.SizeWithin(long.MaxValue));
        var quality = EvaluationPhase.Compared(evaluate, original, Measure(pipeline, run, model, evaluate, cancellation));
        foreach (var buffer in model.buffers().ToList())
        {
            buffer.Dispose();
        }

        return Report(recipe, evaluate, folder, quality, manifest.Quality);
    }

    private EvaluationReport Report(Recipe recipe, Evaluation evaluate, string folder, QualityRecord quality, QualityRecord? recorded)
    {
        bool passed = evaluate.MaxRegression is not { } most || quality.Regression <= most;
        string limit = evaluate.MaxRegression is { } allowed ? string.Create(CultureInfo.InvariantCulture, $"; {allowed:0.0%} is allowed: {(passed ? "passed" : "failed")}") : "; no limit is set";
        string before = recorded is not null && recorded.Metric == quality.Metric ? string.Create(CultureInfo.InvariantCulture, $"; the build measured {recorded.Before:0.####} and {recorded.After:0.####}") : "";
        observer.Progress($"{recipe.Name}: {EvaluationPhase.InWords(quality)}{limit}{before}");
        if (!passed)
        {
            observer.Report(new(
                DiagnosticIds.GateFailed,
                Severity.Error,
                string.Create(CultureInfo.InvariantCulture, $"the artifact in '{folder}' has {quality.Metric} {quality.After:0.####} where the original model has {quality.Before:0.####}, a regression of {quality.Regression:0.0%} where {evaluate.MaxRegression:0.0%} is allowed; build again with more rank or bits, or raise the limit"),
                evaluate.Span));
        }

        bool same = recorded?.Metric == quality.Metric;
        return new(recipe.Name, folder, quality.Metric, quality.Before, quality.After, quality.Regression, quality.MaxRegression, passed, same ? recorded!.Before : null, same ? recorded!.After : null);
    }

    private void WarnOfOtherWeights(PreparedRun run, Manifest manifest, string folder)
    {
        if (manifest.Sources.GetValueOrDefault(RecipeFiles.Weights)?.Sha256 != run.Sources[RecipeFiles.Weights].Sha256)
        {
            observer.Report(new(DiagnosticIds.ArtifactRefused, Severity.Warning, $"the artifact in '{folder}' was made from other weights than '{run.Recipe.Weights}' holds now; build the project again to compare it with these", run.Recipe.WeightsSpan));
        }
    }

    private double Measure(IModelPipeline pipeline, PreparedRun run, nn.Module model, Evaluation evaluate, CancellationToken cancellation)
    {
        var device = options.TensorDevice;
        var data = run.OpenData(RecipeFiles.Evaluation, 0, evaluate.SequenceLength);
        model.to(device);
        return UserCode.Call(run.Recipe, "evaluation failed", () => Quality.Measure(
            pipeline, model, pipeline.EvaluationBatches(data).Select(batch => batch.To(device)), evaluate.Metric, cancellation));
    }
}
