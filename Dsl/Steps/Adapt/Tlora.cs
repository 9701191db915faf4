using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>Transforms a linear layer's inputs by a small tensor ring and adds a small residual: W T + s Δ (TLoRA, arXiv:2501.08727).</summary>
public sealed class Tlora : Adapt
{
    /// <summary>The rank R of the residual.</summary>
    [Within(1, int.MaxValue)]
    public int Rank { get; set; } = 4;

    /// <summary>The ring rank of the transform; 0 leaves the transform out.</summary>
    [Within(0, int.MaxValue)]
    public int TransformRank { get; set; } = 1;

    /// <summary>The form of the residual.</summary>
    public TloraResidual Residual { get; set; }

    /// <summary>The numerator of the scaling.</summary>
    [Within(0, double.MaxValue, ExclusiveMinimum = true)]
    public double Alpha { get; set; } = 1;

    /// <summary>Whether s = alpha / √R; else alpha / R.</summary>
    public bool RankStabilized { get; set; } = true;

    /// <summary>Factors of the inputs, slowest first: <c>8x8x12</c>. Empty takes three near the cube root.</summary>
    public string InputShape { get; set; } = "";

    /// <summary>Factors of the outputs, slowest first. Empty takes three near the cube root.</summary>
    public string OutputShape { get; set; } = "";

    /// <inheritdoc/>
    public override bool KeepsBase => TransformRank == 0 && Residual != TloraResidual.RingMatrix;

    /// <summary>s.</summary>
    public double Scaling => Alpha / (RankStabilized ? Math.Sqrt(Rank) : Rank);

    /// <summary>The factors of a layer's inputs.</summary>
    public IReadOnlyList<int> InputFactors(LayerShape layer) => Factors(InputShape, layer.Columns);

    /// <summary>The factors of a layer's outputs.</summary>
    public IReadOnlyList<int> OutputFactors(LayerShape layer) => Factors(OutputShape, layer.Rows);

    /// <inheritdoc/>
    public override long TrainedNumbers(LayerShape layer)
    {
        var (inputs, outputs) = (InputFactors(layer), OutputFactors(layer));
        long square = (long)Rank * Rank;
        long transform = (long)TransformRank * TransformRank * inputs.Sum(size => (long)size * size);
        return transform + (Residual switch
        {
            TloraResidual.Lora => Rank * (layer.Rows + layer.Columns),
            TloraResidual.RingVector => square * (inputs.Sum() + outputs.Sum()),
            _ => square * outputs.Zip(inputs, (rows, columns) => (long)rows * columns).Sum(),
        });
    }

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        foreach (var problem in CheckRank(Rank, layer).Concat(CheckShape(nameof(InputShape), InputShape, layer?.Columns, "inputs")).Concat(CheckShape(nameof(OutputShape), OutputShape, layer?.Rows, "outputs")))
        {
            yield return problem;
        }

        if (layer is not null && Residual == TloraResidual.RingMatrix && Makes(InputShape, layer.Columns) && Makes(OutputShape, layer.Rows)
            && (InputFactors(layer).Count, OutputFactors(layer).Count) is var (inputs, outputs) && inputs != outputs)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(Residual), $"a ring matrix needs as many factors of the inputs ({Number(inputs)}) as of the outputs ({Number(outputs)}); name both shapes");
        }
    }

    private protected override IEnumerable<MatrixCost> PredictBeside(LayerShape layer)
    {
        long rank = Residual == TloraResidual.Lora ? Rank : (long)Rank * Rank;
        return [new(layer.Rows, rank, 0), new(rank, layer.Columns, 0)];
    }

    private static IEnumerable<StepProblem> CheckShape(string setting, string text, long? size, string what)
    {
        if (text.Length > 0 && FactorText.Parse(text) is null)
        {
            yield return new(DiagnosticIds.InvalidValue, setting, $"'{SettingDescriptor.CamelCase(setting)}' is '{text}'; it must be factors such as 8x8x12, or empty");
        }
        else if (size is { } number && !Makes(text, number))
        {
            yield return new(DiagnosticIds.InvalidValue, setting, $"the factors {text} do not make the {Number(number)} {what}; name others or leave them out");
        }
    }

    private static bool Makes(string text, long size) => text.Length == 0 || (FactorText.Parse(text) is { } factors && factors.Aggregate(1L, (product, factor) => product * factor) == size);

    private static IReadOnlyList<int> Factors(string text, long size) => text.Length > 0 ? FactorText.Parse(text)! : NearCubeRoot(checked((int)size));

    /// <summary>A number as at most three factors, the nearest to its cube root, ascending and without ones.</summary>
    public static IReadOnlyList<int> NearCubeRoot(int number)
    {
        double root = Math.Pow(number, 1.0 / 3);
        int[] best = [1, 1, number];
        for (int a = 1; (long)a * a * a <= number; a++)
        {
            for (int b = a; number % a == 0 && (long)b * b <= number / a; b++)
            {
                if (number / a % b == 0 && Spread(a, b, number / a / b, root) < Spread(best[0], best[1], best[2], root))
                {
                    best = [a, b, number / a / b];
                }
            }
        }

        int[] proper = [.. best.Where(factor => factor > 1)];
        return proper.Length > 0 ? proper : [1];
    }

    private static double Spread(int a, int b, int c, double root) => Math.Abs(a - root) + Math.Abs(b - root) + Math.Abs(c - root);
}

/// <summary>The form of the residual of <see cref="Tlora"/>.</summary>
public enum TloraResidual
{
    /// <summary>A product of two thin matrices.</summary>
    Lora,

    /// <summary>A tensor ring with one core for each factor of the outputs and of the inputs.</summary>
    RingVector,

    /// <summary>A tensor ring with one core for each pair of factors.</summary>
    RingMatrix,
}
