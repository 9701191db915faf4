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
/// candidate and <c>iterationError.i</c>; <c>relativeError</c> of the stored weight. Spectrum: of what the branch approximates.
/// </remarks>
public sealed class SvdQuantSolver : LayerSolver<SvdQuant>
{
    /// <inheritdoc/>
    public override int Version => 1;

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

        var grids = FourBitGrids.Of(step, step.ScaleType == ScaleType.Float16 ? float16 : float32);
        var search = new SvdQuantSearch(weight, samples, problem.Statistics.InputMagnitudes!.Largest + step.InputShift, grids, step, problem.Seed);
        var result = search.Run();
        var expression = Store(result, grids, step);
        var facts = Facts(search, result, grids);
        facts["rank"] = step.Rank;
        facts["bitsPerWeight"] = 8.0 * expression.Bytes / weight.numel();
        facts["relativeError"] = MatrixChecks.RelativeError(stored, expression.Materialize());
        return new(expression, null, facts, result.Branch.Spectrum, notes);
    }

    private static Expression Store(SvdQuantResult result, FourBitGrids grids, SvdQuant step)
    {
        Expression rounded = grids.Store(result.Residual);
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
