namespace PipelineDsl.Runtime.Measurement;

/// <summary>What an artifact was measured to be worth.</summary>
/// <remarks>The names are the keys of <c>evaluation.json</c>, in camel case; they stay.</remarks>
/// <param name="Recipe">The recipe's name.</param>
/// <param name="Artifact">The artifact's folder.</param>
/// <param name="Metric"><c>perplexity</c>, <c>loss</c> or <c>accuracy</c>.</param>
/// <param name="Original">Of the original model.</param>
/// <param name="Compressed">Of the model as an application loads it.</param>
/// <param name="Regression">The relative loss of quality; negative when it got better.</param>
/// <param name="MaxRegression">The limit of the recipe, or null.</param>
/// <param name="Passed">Whether the limit is kept; without one it always is.</param>
/// <param name="RecordedOriginal">What the build measured of the original model, or null when it did not.</param>
/// <param name="RecordedCompressed">What the build measured of the compressed model, or null when it did not.</param>
public sealed record EvaluationReport(
    string Recipe,
    string Artifact,
    string Metric,
    double Original,
    double Compressed,
    double Regression,
    double? MaxRegression,
    bool Passed,
    double? RecordedOriginal,
    double? RecordedCompressed);
