using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Statistics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>Turns an <see cref="Orientation"/> and the collected statistics into the oriented weight W L.</summary>
internal static class Orientations
{
    /// <summary>CorDA's official start of the damping and the inverse error it stops at; <see cref="Corda"/> has them as settings.</summary>
    private static readonly Corda ContextDefaults = new();

    /// <summary>W L [m, k] in the caller's dispose scope; the weight itself, with a note, where the statistics are all zero.</summary>
    public static Tensor Orient(Tensor weight, Orientation orientation, LayerStatistics statistics, Dictionary<string, double> facts, Action<string> note) => orientation switch
    {
        Orientation.Weight => weight,
        Orientation.Context => Context(weight, statistics, ContextDefaults, facts, note),
        Orientation.Whitened => Moments(weight, statistics, centred: false, note),
        Orientation.Output => Moments(weight, statistics, centred: true, note),
        Orientation.Fisher => Fisher(weight, statistics, note),
        _ => throw new InvalidOperationException($"unknown orientation '{orientation}'"),
    };

    /// <summary>W C' with the damped covariance that the step asked for.</summary>
    public static Tensor Context(Tensor weight, LayerStatistics statistics, Corda step, Dictionary<string, double> facts, Action<string> note)
    {
        var covariance = statistics.Covariances.TryGetValue(step.Needs, out var found) ? found : throw Missing("covariance");
        if (IsDead(covariance, "the calibration inputs are all zero", note))
        {
            return weight;
        }

        var damped = DampedCovariance.Of(covariance, step.Damping, step.InverseErrorTolerance);
        facts["damping"] = damped.Damping;
        facts["inverseError"] = damped.InverseError;
        return weight.mm(damped.Matrix);
    }

    private static Tensor Moments(Tensor weight, LayerStatistics statistics, bool centred, Action<string> note)
    {
        var moments = statistics.InputMoments ?? throw Missing("input moments");
        var covariance = Covariance.Of(moments.Count, moments.Sum, moments.Gram);
        var second = moments.Gram / moments.Count;

        // The covariance of constant inputs is what rounding left of their second moment.
        double noise = centred ? 1e-12 * second.abs().max().item<double>() : 0;
        var metric = centred ? covariance.Matrix : second;
        return IsDead(metric, centred ? "the calibration inputs never vary" : "the calibration inputs are all zero", note, noise) ? weight : weight.mm(MetricFactor.OfGram(metric));
    }

    private static Tensor Fisher(Tensor weight, LayerStatistics statistics, Action<string> note)
    {
        var sums = (statistics.Fisher ?? throw Missing("Fisher information")).Columns;
        return IsDead(sums, "no gradient reaches the layer", note) ? weight : weight * sums.sqrt();
    }

    private static bool IsDead(Tensor statistic, string reason, Action<string> note, double noise = 0)
    {
        MatrixChecks.RequireFinite(statistic, "the calibration statistic");
        bool dead = statistic.abs().max().item<double>() <= noise;
        if (dead)
        {
            note($"{reason}, so the weight is decomposed by itself");
        }

        return dead;
    }

    private static InvalidOperationException Missing(string what) => new($"no {what} was collected for the layer");
}
