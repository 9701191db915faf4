using System.Globalization;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>4-bit weights with a low-rank branch and inputs rounded as they come (SVDQuant, arXiv:2411.05007): W ≈ L₁ L₂ + Q(W diag(s) − L) diag(1/s).</summary>
/// <remarks>
/// Facts: <c>rank</c>, <c>bitsPerWeight</c>, <c>alpha</c>, <c>beta</c>, <c>bestSmoothing</c>, <c>bestIteration</c>, <c>iterations</c>; squared output errors on the sample as shares of ‖Y‖²:
/// <c>outputError</c> of the result, <c>roundedOutputError</c> of weights and inputs rounded alone, <c>smoothedOutputError</c> of the best smoothing without a branch, <c>smoothingError.i</c> of every
/// candidate and <c>iterationError.i</c>, <c>nearestOutputError</c> where GPTQ rounded in the end; <c>relativeError</c> of the stored weight. Spectrum: of what the branch approximates.
/// </remarks>
public sealed class SvdQuantSolver : LayerSolver<SvdQuant>
{
    private const double GptqDamping = 0.01;
    private const int GptqBlock = 128;

    /// <inheritdoc/>
    public override int Version => 2;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, SvdQuant step)
    {
        using var scope = NewDisposeScope();
        using var stored = problem.Weight.Materialize();
        MatrixChecks.RequireFinite(stored, "the weight");
        var weight = stored.to(float64);
        var samples = problem.Statistics.InputSamples!.to(float64);
        if (samples.shape[0] == 0)
        {
            throw new InvalidOperationException("no calibration data reached the layer");
        }

        var notes = new List<string>();
        if (step.InputShift > 0 && (samples + step.InputShift).min().item<double>() is < 0 and var lowest)
        {
            notes.Add(string.Create(CultureInfo.InvariantCulture, $"an input of {lowest - step.InputShift:g3} stays negative after 'inputShift: {step.InputShift}' and is cut off"));
        }

        var grids = FourBitGrids.Of(step, Dtypes.Of(step.ScaleType));
        var search = new SvdQuantSearch(weight, samples, problem.Statistics.InputMagnitudes!.Largest + step.InputShift, grids, step, problem.Seed);
        var result = search.Run();
        var facts = Facts(search, result, grids);
        var expression = Store(result, Rest(result, grids, step, facts, notes), grids, step);
        facts["rank"] = step.Rank;
        facts["bitsPerWeight"] = 8.0 * expression.Bytes / weight.numel();
        facts["relativeError"] = MatrixChecks.RelativeError(stored, expression.Materialize());
        return new(expression, null, facts, result.Branch.Spectrum, notes);
    }

    /// <summary>What the branch leaves, on its grid; the caller owns it.</summary>
    private static Expression Rest(SvdQuantResult result, FourBitGrids grids, SvdQuant step, Dictionary<string, double> facts, List<string> notes)
    {
        if (step.Rounding == ResidualRounding.Nearest)
        {
            return grids.Store(result.Residual);
        }

        using var scope = NewDisposeScope();
        var layer = result.Layer;
        var (rest, seen) = (result.Residual, layer.RoundedInputs);
        var geometry = new GridGeometry(rest.shape[0], rest.shape[1], grids.Weights.Bits, Signed: true, Granularity.Group, grids.Weights.GroupSize);
        var settings = new GptqSettings(geometry, grids.RealType, GptqDamping, GptqBlock, ActivationOrder: true, StaticGroups: true);

        // The step max/7 of the search: the usual 2 max/15 cuts off the largest value of every group.
        var scales = grids.Quantize(rest).Codes.Scales;
        var rounding = GptqRounding.Of(rest, seen.mT.mm(seen) * (2.0 / seen.shape[0]), settings, (scales, full_like(scales, -geometry.Lowest)));
        double nearest = layer.Error(result.Branch, grids.Round(rest));
        double spread = layer.Error(result.Branch, rounding.Dequantize());
        facts["nearestOutputError"] = facts["outputError"];
        if (spread <= nearest)
        {
            facts["outputError"] *= nearest > 0 ? spread / nearest : 1;
            return rounding.Store(settings);
        }

        notes.Add("GPTQ has a larger output error here than rounding to nearest, which is kept");
        return grids.Store(rest);
    }

    private static Expression Store(SvdQuantResult result, Expression rounded, FourBitGrids grids, SvdQuant step)
    {
        rounded = grids.Inputs is { } inputs ? new QuantizedInputs(inputs, rounded, result.Layer.Offset?.to(grids.RealType)) : rounded;
        rounded = step.Smoothing == SmoothingFamily.None ? rounded : new Scaled(null, rounded, result.Layer.Reciprocal.to(grids.RealType));
        return result.Branch.Stored is { } factors ? new Sum(new Product(new Dense(factors.B), new Dense(factors.A)), rounded) : rounded;
    }

    private static Dictionary<string, double> Facts(SvdQuantSearch search, SvdQuantResult result, FourBitGrids grids)
    {
        double energy = search.Energy;
        double Share(double error) => energy > 0 ? error / energy : error;
        var plain = search.Smooth((0, 0));
        var facts = new Dictionary<string, double>
        {
            ["alpha"] = result.Exponents.Alpha,
            ["beta"] = result.Exponents.Beta,
            ["bestSmoothing"] = result.BestSmoothing,
            ["bestIteration"] = result.BestIteration,
            ["iterations"] = result.IterationErrors.Count,
            ["outputError"] = Share(result.Layer.Error(result.Branch, grids.Round(result.Residual))),
            ["roundedOutputError"] = Share(plain.Error(null, grids.Round(plain.Weight))),
            ["smoothedOutputError"] = Share(result.SmoothedError),
        };
        Trace("smoothingError", result.SmoothingErrors);
        Trace("iterationError", result.IterationErrors);
        return facts;

        void Trace(string name, IReadOnlyList<double> errors)
        {
            for (int i = 0; i < errors.Count; i++)
            {
                facts[string.Create(CultureInfo.InvariantCulture, $"{name}.{i:000}")] = Share(errors[i]);
            }
        }
    }
}
