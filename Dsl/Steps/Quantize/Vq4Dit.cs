using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>Replaces runs of neighbours in a row by codewords of one table a matrix, and learns on calibration data which codeword each run gets (VQ4DiT, arXiv:2408.17131): for 2 and 3 bits.</summary>
/// <remarks>
/// 256 codewords of 4 values are 2 bits a value, 64 of 2 are 3 bits. The table comes from k-means. Published for diffusion transformers, whose samplers give the calibration inputs; here they are
/// what flows through the model on the recipe's calibration data.
/// </remarks>
public sealed class Vq4Dit : Step
{
    /// <summary>The most unknowns of a table that is found by least squares: their normal equations take 8 bytes for each pair.</summary>
    private const int MostUnknowns = 4096;

    private const int FewestSubvectorsACodeword = 4;
    private const int WidestNamed = 64;

    private static readonly string[] BlockSettings =
        [nameof(Iterations), nameof(BatchSize), nameof(RatioRate), nameof(TableRate), nameof(TuneBias), nameof(BiasRate), nameof(Form), nameof(RegulariserWeight), nameof(FreezeThreshold), nameof(FreezeShare)];

    private static readonly string[] LayerSettings = [nameof(Alternations), nameof(Inputs)];

    /// <summary>Codewords of a table, a power of two; fewer where a matrix has less than 4 runs for each.</summary>
    [Within(2, 65_536)]
    public int Codewords { get; set; } = 256;

    /// <summary>Neighbours in a row that are one codeword; must divide the row.</summary>
    [Within(1, 1024)]
    public int Width { get; set; } = 4;

    /// <summary>How tables are stored; codes are computed with the stored values.</summary>
    public ScaleType TableType { get; set; }

    /// <summary>The largest number of rounds of k-means.</summary>
    [Within(0, 100_000)]
    public int KMeansIterations { get; set; } = 100;

    /// <summary>The nearest codewords of a run that it may get; published: 2 in the code, 3 as the best of the paper.</summary>
    [Within(1, 64)]
    public int CandidateCount { get; set; } = 2;

    /// <summary>On whose output codes and table are then tuned.</summary>
    public CodebookTuning Tune { get; set; }

    /// <summary>Steps of RMSprop a block.</summary>
    [Within(0, int.MaxValue)]
    public int Iterations { get; set; } = 200;

    /// <summary>Calibration samples a step.</summary>
    [Within(1, int.MaxValue)]
    public int BatchSize { get; set; } = 4;

    /// <summary>The learning rate of the logits of the ratios in which candidates are mixed.</summary>
    [Within(0, 10, ExclusiveMinimum = true)]
    public double RatioRate { get; set; } = 5e-2;

    /// <summary>The learning rate of tables.</summary>
    [Within(0, 1)]
    public double TableRate { get; set; } = 1e-4;

    /// <summary>Whether the layer's bias is trained with them, as published; a layer without one gets one.</summary>
    public bool TuneBias { get; set; }

    /// <summary>The learning rate of biases.</summary>
    [Within(0, 1)]
    public double BiasRate { get; set; } = 1e-4;

    /// <summary>Where paper and published code differ: which of them is followed.</summary>
    public Vq4DitForm Form { get; set; }

    /// <summary>What the regulariser of ratios is multiplied by.</summary>
    [Within(0, 1e6)]
    public double RegulariserWeight { get; set; } = 1;

    /// <summary>The ratio beyond which a run keeps its codeword for good.</summary>
    [Within(0.5, 1)]
    public double FreezeThreshold { get; set; } = 0.99;

    /// <summary>The share of fixed runs beyond which all others are fixed and the table begins to train.</summary>
    [Within(0, 1)]
    public double FreezeShare { get; set; } = 0.99;

    /// <summary>With <c>tune: layer</c>, the most rounds of a table of least squares and of better codes for it.</summary>
    [Within(1, 1000)]
    public int Alternations { get; set; } = 4;

    /// <summary>With <c>tune: layer</c>, whose outputs count.</summary>
    public CodebookInputs Inputs { get; set; }

    /// <inheritdoc/>
    public override Stage Stage => Stage.Quantize;

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.Linear | LayerKinds.Conv2d;

    /// <inheritdoc/>
    public override StatisticKinds Needs => ReadsMoments ? StatisticKinds.InputMoments : StatisticKinds.None;

    /// <inheritdoc/>
    public override bool NeedsCalibration => ReadsMoments || Trains;

    /// <summary>Whether the step trains block by block.</summary>
    public bool Trains => Tune == CodebookTuning.Block && Iterations > 0;

    private bool ReadsMoments => Tune == CodebookTuning.Layer && Inputs == CodebookInputs.Data;

    /// <inheritdoc/>
    public override bool ReplacesBias(LayerShape layer) => TuneBias && Trains;

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        if ((Codewords & (Codewords - 1)) != 0)
        {
            yield return new(DiagnosticIds.InvalidValue, nameof(Codewords), $"{Codewords} codewords waste a part of their codes; use {1 << FloorLog2(Codewords)} or {2 << FloorLog2(Codewords)}");
        }

        if (layer is not null && WidthProblem(layer.Columns) is { } problem)
        {
            yield return new(DiagnosticIds.InvalidValue, nameof(Width), problem);
        }

        long unknowns = (long)(layer is null ? Codewords : CodewordsFor(layer.Rows, layer.Columns)) * Width;
        if (Tune == CodebookTuning.Layer && unknowns > MostUnknowns)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(Tune), $"a table of {unknowns} values is too large for the least squares of 'tune: layer'; use at most {MostUnknowns} or 'tune: block'");
        }

        if (ReadsMoments && layer?.Kernel is { Groups: > 1 and var groups })
        {
            yield return new(DiagnosticIds.NotCompressible, nameof(Tune), $"the inputs of a convolution of {groups} groups are not one second moment; use 'tune: block' or 'tune: none'");
        }

        foreach (string unused in BlockSettings.Where(name => Tune != CodebookTuning.Block && given.Contains(name)))
        {
            yield return new(DiagnosticIds.ContradictorySettings, unused, $"'{SettingDescriptor.CamelCase(unused)}' belongs to 'tune: block'; say that or drop it");
        }

        foreach (string unused in LayerSettings.Where(name => Tune != CodebookTuning.Layer && given.Contains(name)))
        {
            yield return new(DiagnosticIds.ContradictorySettings, unused, $"'{SettingDescriptor.CamelCase(unused)}' belongs to 'tune: layer'; say that or drop it");
        }

        if (Tune == CodebookTuning.None && given.Contains(nameof(CandidateCount)))
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(CandidateCount), "'candidateCount' has no meaning with 'tune: none', which leaves every run its nearest codeword; drop one of them");
        }
    }

    /// <inheritdoc/>
    public override Step Resolve(LayerShape layer)
    {
        var resolved = (Vq4Dit)Copy();
        resolved.Codewords = CodewordsFor(layer.Rows, layer.Columns);
        return resolved;
    }

    /// <inheritdoc/>
    public override IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors) =>
        [.. factors.Select(factor => factor.IsVector ? factor : factor with { Bytes = BytesFor(factor.Rows, factor.Columns) })];

    /// <summary>Codewords of a matrix's table: min(k, 2^⌊log2(m (n / d) / 4)⌋), at least 1.</summary>
    public int CodewordsFor(long rows, long columns)
    {
        long most = Math.Max(1, rows * (columns / Width) / FewestSubvectorsACodeword);
        return (int)Math.Min(Codewords, 1L << FloorLog2(most));
    }

    /// <summary>Exact bytes of a matrix: (m n / d) log2(k) / 8 of codes and k d values of the table.</summary>
    public long BytesFor(long rows, long columns)
    {
        int codewords = CodewordsFor(rows, columns);
        long bits = codewords == 1 ? 1 : FloorLog2(codewords - 1) + 1;
        return (((rows * (columns / Width) * bits) + 7) / 8) + ((long)codewords * Width * (TableType == ScaleType.Float32 ? 4 : 2));
    }

    /// <summary>Why rows of this length cannot be cut, and what can; null where they can.</summary>
    public string? WidthProblem(long columns) => columns % Width == 0 ? null
        : $"rows of {columns} values are no whole number of codewords of {Width}; use a 'width' of {string.Join(", ", Enumerable.Range(1, WidestNamed).Where(width => columns % width == 0))}";

    private static int FloorLog2(long value)
    {
        int log = 0;
        while ((value >>= 1) > 0)
        {
            log++;
        }

        return log;
    }
}

/// <summary>On whose output codes and table of <see cref="Vq4Dit"/> are tuned after k-means.</summary>
public enum CodebookTuning
{
    /// <summary>That of the block that the layer is part of: ratios of candidates are trained until each run has its codeword, then the table. Needs calibration data.</summary>
    Block,

    /// <summary>The layer's own, in closed form: the best table for given codes by least squares, and better codes for a given table among the candidates, in turn.</summary>
    Layer,

    /// <summary>None: every run gets its nearest codeword.</summary>
    None,
}

/// <summary>What the layer's inputs are for <c>tune: layer</c>.</summary>
public enum CodebookInputs
{
    /// <summary>What reaches the layer on calibration data.</summary>
    Data,

    /// <summary>
    /// Seeded independent standard Gaussian rows: no data is needed. It is not the sampling chain of a diffusion model that the paper draws its inputs from, and says nothing about which inputs the
    /// model has: in the mean over draws all errors of weights count alike, as in k-means.
    /// </summary>
    Noise,
}

/// <summary>Whose form of VQ4DiT is followed where its paper and its published code differ.</summary>
public enum Vq4DitForm
{
    /// <summary>
    /// First ratios by the inverse distance; the regulariser n · mean(R (1 − R)) over runs that are not fixed, only in steps where it is above its lowest value so far; the table trains once all codes are fixed.
    /// </summary>
    Code,

    /// <summary>Equal first ratios; the regulariser Σ (1 − |2R − 1|) a run in every step; the table trains from the start.</summary>
    Paper,
}
