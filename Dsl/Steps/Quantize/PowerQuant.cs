using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>Rounds to levels max|w| · (k/Q)^(1/a), dense near zero where most weights are; the exponent a is searched for without data (PowerQuant, arXiv:2301.09858).</summary>
/// <remarks>
/// Every matrix has an exponent of its own, which never costs more error than one a model. For the paper's shared one, say it: <c>exponent: 0.55</c>.
/// At 2 bits the levels are −max, 0 and max whatever the exponent, which then only moves the limit between them.
/// </remarks>
public class PowerQuant : Quantize
{
    private const int LevelBytes = 4;

    /// <summary>One scale a row, as published.</summary>
    public PowerQuant() => Granularity = Granularity.Channel;

    /// <summary>The exponent a; 0 searches for it. 1 is a uniform grid, smaller ones are finer near zero; trained networks are near 0.55.</summary>
    [Within(0, 4)]
    public double Exponent { get; set; }

    /// <summary>The smallest exponent tried.</summary>
    [Within(0.02, 4)]
    public double LowestExponent { get; set; } = 0.2;

    /// <summary>The largest exponent tried.</summary>
    [Within(0.02, 4)]
    public double HighestExponent { get; set; } = 1.2;

    /// <summary>The p of the norm ‖W − Ŵ‖_p that the exponent makes small.</summary>
    [Within(1, 64)]
    public double Norm { get; set; } = 2;

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        foreach (var problem in base.Check(layer, given))
        {
            yield return problem;
        }

        if (!Symmetric)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(Symmetric), "powers of magnitudes are symmetric around zero; drop 'symmetric: false'");
        }

        if (Exponent > 0 && SearchSettings.FirstOrDefault(given.Contains) is { } idle)
        {
            yield return new(DiagnosticIds.ContradictorySettings, idle, $"'{SettingDescriptor.CamelCase(idle)}' belongs to the search that 'exponent' replaces; drop one of them");
        }

        if (LowestExponent >= HighestExponent)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(HighestExponent), "'highestExponent' must be above 'lowestExponent'");
        }
    }

    /// <inheritdoc/>
    public override IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors) =>
        [.. base.Predict(layer, factors).Select(cost => cost.IsVector ? cost : cost with { Bytes = cost.Bytes + (LevelBytes << Bits) })];

    private static string[] SearchSettings => [nameof(LowestExponent), nameof(HighestExponent), nameof(Norm)];
}
