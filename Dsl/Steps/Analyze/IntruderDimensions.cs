using System.Collections.Generic;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>
/// Leading singular directions of a tuned weight that no single singular direction of the weight before tuning resembles: a predictor of forgetting that needs no data
/// (arXiv:2410.21228). What the recipe leaves is compared with its own weights, or with <c>base</c>.
/// </summary>
public sealed class IntruderDimensions : Analyze
{
    /// <summary>The weights before tuning, a file or folder relative to the project; empty takes the recipe's own weights.</summary>
    public string Base { get; set; } = "";

    /// <summary>The linear layers that are compared: a path or a pattern.</summary>
    public string Layers { get; set; } = "**";

    /// <summary>How many leading directions of the tuned weight are tested.</summary>
    [Within(1, int.MaxValue)]
    public int TopK { get; set; } = 10;

    /// <summary>A direction whose largest cosine with a direction before tuning is below this is an intruder.</summary>
    [Within(0, 0.999999, ExclusiveMinimum = true)]
    public double Threshold { get; set; } = 0.5;

    /// <summary>Which singular vectors are compared.</summary>
    public SingularSide Side { get; set; } = SingularSide.Left;

    /// <summary>How many neighbouring vectors are compared with at once, by the norm of the projection on their span; 1 is the paper's cosine. Vectors of nearly equal singular values rotate freely into each other.</summary>
    [Within(1, int.MaxValue)]
    public int Window { get; set; } = 1;

    /// <summary>What remains of an intruder's singular value in the artifact: 1 leaves it, 0 removes it. Below 1, the report compares with an equally large shrinking of the whole change.</summary>
    [Within(0, 1)]
    public double Remain { get; set; } = 1;

    /// <inheritdoc/>
    public override IEnumerable<(string Setting, string File)> Files => [(nameof(Base), Base)];

    /// <inheritdoc/>
    public override IEnumerable<(string Setting, string Pattern)> Patterns => [(nameof(Layers), Layers)];

    /// <inheritdoc/>
    public override bool Edits => Remain < 1;

    /// <inheritdoc/>
    public override bool EditsUntouched(string path, LayerKinds kind) => Edits && Base.Length > 0 && kind == LayerKinds.Linear && new Recipes.LayerPattern(Layers).Matches(path);

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(ISet<string> given, bool isTrained)
    {
        if (Edits && Base.Length == 0 && !isTrained)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(Remain), "'remain' takes back a part of a tuning, and this recipe tunes nothing; name the weights before tuning with 'base', add 'train', or drop it");
        }
    }
}

/// <summary>Which singular vectors of a weight are compared.</summary>
public enum SingularSide
{
    /// <summary>Those of the output side of a weight [out, in], as in the paper.</summary>
    Left,

    /// <summary>Those of the input side.</summary>
    Right,
}
