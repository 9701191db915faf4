using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>Stores a weight in 4 bits beside a low-rank branch of 16 that takes up its outliers, and rounds its inputs as well (SVDQuant, arXiv:2411.05007).</summary>
/// <remarks>
/// Inputs are divided by a smoothing vector s that is searched for, so that weights and inputs are equally easy to round. Every layer has an s and a branch of its own; the
/// published pipeline shares them between layers that read the same input (its <c>exclusive: false</c>).
/// </remarks>
public sealed class SvdQuant : Step
{
    private const int NibblesPerByte = 2;
    private const int Nvfp4Group = 16;

    // One float32 scale, 16 levels of e2m1 and 256 of e4m3.
    private const int Nvfp4Tables = 4 + (4 * 16) + (4 * 256);

    /// <summary>Rank of the branch; 0 leaves it out.</summary>
    [Within(0, int.MaxValue)]
    public int Rank { get; set; } = 32;

    /// <summary>The most times the branch and the rounded rest are made to fit each other.</summary>
    [Within(1, int.MaxValue)]
    public int Iterations { get; set; } = 100;

    /// <summary>Whether that ends when the error grows for the first time.</summary>
    public bool EarlyStop { get; set; } = true;

    /// <summary>Whether the branch starts from the error of rounding instead of the weight; with one iteration that is another method, akin to LoftQ.</summary>
    public bool Compensate { get; set; }

    /// <summary>The grid of the weight, and of inputs of 4 bits.</summary>
    public FourBitFormat Format { get; set; }

    /// <summary>How the rest that the branch leaves is rounded in the end; the search rounds to nearest.</summary>
    public ResidualRounding Rounding { get; set; }

    /// <summary>Consecutive values of a row, or of an input, that share one scale; 0 is 64 for int4 and 16 for nvfp4.</summary>
    [Within(2, int.MaxValue)]
    public int GroupSize { get; set; }

    /// <summary>Bits of inputs, rounded as they come; 0 leaves them as they are.</summary>
    [Within(0, 8)]
    public int ActivationBits { get; set; } = 4;

    /// <summary>What is added to inputs that are known to be no smaller than its negative, so that they take unsigned codes: 0.171875 after a GELU; 0 adds nothing.</summary>
    [Within(0, double.MaxValue)]
    public double InputShift { get; set; }

    /// <summary>Which smoothing vectors s = max|x|^alpha / max|w|^beta are tried.</summary>
    public SmoothingFamily Smoothing { get; set; }

    /// <summary>How finely exponents are tried: i / steps for i = 1 to steps − 1.</summary>
    [Within(2, 1000)]
    public int SmoothingSteps { get; set; } = 20;

    /// <summary>The exponent of inputs for <see cref="SmoothingFamily.Fixed"/>.</summary>
    [Within(0, 1)]
    public double Alpha { get; set; } = 0.5;

    /// <summary>The exponent of weights for <see cref="SmoothingFamily.Fixed"/>.</summary>
    [Within(0, 1)]
    public double Beta { get; set; } = 0.5;

    /// <summary>How close to the best branch an iteration for large layers must come.</summary>
    public SvdAccuracy Accuracy { get; set; }

    /// <summary>How scales of int4, the smoothing vector and the branch are stored; everything is computed with stored values.</summary>
    public ScaleType ScaleType { get; set; }

    /// <inheritdoc/>
    public override Stage Stage => Stage.Decompose;

    /// <inheritdoc/>
    public override bool EndsChain => true;

    /// <inheritdoc/>
    public override StatisticKinds Needs => StatisticKinds.InputSamples | StatisticKinds.InputMagnitudes;

    /// <summary>The group size in force.</summary>
    public int Group => GroupSize > 0 ? GroupSize : Format == FourBitFormat.Nvfp4 ? Nvfp4Group : 64;

    /// <inheritdoc/>
    public override Step Resolve(LayerShape layer)
    {
        var step = (SvdQuant)Copy();
        step.GroupSize = Group;
        return step;
    }

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        foreach (var problem in CheckInputs())
        {
            yield return problem;
        }

        if (Rounding == ResidualRounding.Gptq && Format == FourBitFormat.Nvfp4)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(Rounding), "'rounding: gptq' works on integers; use 'format: int4' or 'rounding: nearest'");
        }

        foreach (string setting in IdleSettings.Where(given.Contains))
        {
            yield return new(DiagnosticIds.ContradictorySettings, setting, $"'{SettingDescriptor.CamelCase(setting)}' has no meaning with 'smoothing: {SettingDescriptor.Format(Smoothing)}'; drop one of them");
        }

        if (layer is null)
        {
            yield break;
        }

        if (Rank > layer.MaxRank)
        {
            yield return StepProblem.AtMost(DiagnosticIds.RankTooLarge, nameof(Rank), layer.MaxRank, $"rank {Rank} exceeds min(in={layer.Columns}, out={layer.Rows}); use at most {layer.MaxRank}");
        }
        else if (Rank >= layer.BreakEvenRank)
        {
            yield return new(DiagnosticIds.RankSavesNothing, nameof(Rank), $"a branch of rank {Rank} holds no fewer values than the {layer.Rows} × {layer.Columns} weight beside it; use a smaller rank");
        }

        if (given.Contains(nameof(GroupSize)) && GroupSize > layer.Columns)
        {
            yield return StepProblem.AtMost(DiagnosticIds.GroupTooLarge, nameof(GroupSize), layer.Columns, $"a group of {GroupSize} is longer than a row of {layer.Columns}; use at most {layer.Columns}");
        }
    }

    /// <inheritdoc/>
    public override IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors)
    {
        long real = ScaleType == ScaleType.Float32 ? 4 : 2;
        long groups = layer.Rows * ((layer.Columns + Group - 1) / Group);
        long codes = layer.Rows * ((layer.Columns + NibblesPerByte - 1) / NibblesPerByte);
        long scales = Format == FourBitFormat.Nvfp4 ? groups + Nvfp4Tables : groups * real;
        long vectors = (Smoothing == SmoothingFamily.None ? 0 : layer.Columns * real) + (InputShift > 0 ? layer.Columns * real : 0);
        return [new(layer.Rows, layer.Columns, codes + scales + vectors + (Rank * real * (layer.Rows + layer.Columns)))];
    }

    private string[] IdleSettings => Smoothing switch
    {
        SmoothingFamily.Fixed => [nameof(SmoothingSteps)],
        SmoothingFamily.None => [nameof(SmoothingSteps), nameof(Alpha), nameof(Beta)],
        _ => [nameof(Alpha), nameof(Beta)],
    };

    private IEnumerable<StepProblem> CheckInputs()
    {
        if (ActivationBits is not (0 or 4 or 8))
        {
            yield return new(DiagnosticIds.InvalidValue, nameof(ActivationBits), $"inputs of {ActivationBits} bits; 4, 8 and 0 (as they are) are possible");
        }
        else if (ActivationBits == 8 && Format == FourBitFormat.Nvfp4)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(ActivationBits), "'format: nvfp4' multiplies inputs of 4 bits; use 'activationBits: 4' or 0");
        }

        if (InputShift > 0 && (ActivationBits != 4 || Format != FourBitFormat.Int4))
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(InputShift), "'inputShift' makes room for unsigned codes of 4 bits, which needs 'format: int4' and 'activationBits: 4'");
        }
    }
}

/// <summary>Codes of four bits.</summary>
public enum FourBitFormat
{
    /// <summary>Integers from −7 to 7.</summary>
    Int4,

    /// <summary>Floats (e2m1) with scales of 8 bits (e4m3) and one for the matrix.</summary>
    Nvfp4,
}

/// <summary>How <see cref="SvdQuant"/> rounds what its branch leaves.</summary>
public enum ResidualRounding
{
    /// <summary>Each value by itself.</summary>
    Nearest,

    /// <summary>Column by column, each one's error spread over those that follow (GPTQ, arXiv:2210.17323), where that has the smaller output error; codes are from −8 to 7.</summary>
    Gptq,
}

/// <summary>Smoothing vectors to try, all with none first.</summary>
public enum SmoothingFamily
{
    /// <summary>Those of <see cref="Inputs"/>, then those of <see cref="Balanced"/>.</summary>
    Both,

    /// <summary>Beta 0: by inputs alone.</summary>
    Inputs,

    /// <summary>Alpha + beta = 1.</summary>
    Balanced,

    /// <summary>The one of the step's alpha and beta, and not none.</summary>
    Fixed,

    /// <summary>None: the weight and its inputs as they are.</summary>
    None,
}
