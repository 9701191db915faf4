using PipelineDsl.Runtime.Optimization;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Optimization;

/// <summary>The convex functions K that the maps of Lion-K are gradients of, and their conjugates K* (arXiv:2310.05898), in float64 over a whole tensor.</summary>
internal static class LionFunctions
{
    /// <summary>K(x).</summary>
    public static double Value(Lion rule, Tensor x)
    {
        using var scope = NewDisposeScope();
        var magnitudes = x.abs();
        var value = rule.Map switch
        {
            LionMap.Sign => magnitudes.sum(),
            LionMap.Lp => magnitudes.pow(rule.Power).sum().pow(1 / rule.Power),
            LionMap.L2 => x.square().sum().sqrt(),
            LionMap.Huber => where(magnitudes <= rule.Width, x.square() / (2 * rule.Width), magnitudes - (rule.Width / 2)).sum(),
            LionMap.Relativistic => ((x.square() + (rule.Width * rule.Width)).sqrt() - rule.Width).sum(),
            LionMap.Dead => (magnitudes - rule.Width).clamp_min(0).sum(),
            LionMap.TopK => magnitudes.flatten().sort(descending: true).Values.narrow(0, 0, rule.Largest).sum(),
            _ => linalg.svdvals(x).sum(),
        };
        return value.item<double>();
    }

    /// <summary>K*(z); infinity outside its domain, up to rounding.</summary>
    public static double Conjugate(Lion rule, Tensor z)
    {
        using var scope = NewDisposeScope();
        const double Rounding = 1e-9;
        var magnitudes = z.abs();
        bool inBox = magnitudes.max().item<double>() <= 1 + Rounding;
        double dual = rule.Power / (rule.Power - 1);
        return rule.Map switch
        {
            LionMap.Sign => Within(inBox),
            LionMap.Lp => Within(magnitudes.pow(dual).sum().pow(1 / dual).item<double>() <= 1 + Rounding),
            LionMap.L2 => Within(z.square().sum().sqrt().item<double>() <= 1 + Rounding),
            LionMap.Huber => Within(inBox) + (rule.Width / 2 * z.square().sum().item<double>()),
            LionMap.Relativistic => Within(inBox) + (rule.Width * (1 - (1 - z.square()).clamp_min(0).sqrt()).sum().item<double>()),
            LionMap.Dead => Within(inBox) + (rule.Width * magnitudes.sum().item<double>()),
            LionMap.TopK => Within(inBox && magnitudes.sum().item<double>() <= rule.Largest * (1 + Rounding)),
            _ => Within(linalg.svdvals(z).max().item<double>() <= 1 + Rounding),
        };

        static double Within(bool domain) => domain ? 0 : double.PositiveInfinity;
    }

    /// <summary>H(x, m) of the Lyapunov analysis, with f(x) given.</summary>
    public static double Energy(Lion rule, Tensor x, Tensor momentum, double loss)
    {
        using var scope = NewDisposeScope();
        double lambda = rule.WeightDecay;
        double h = rule.LearningRate / (1 - (rule.LearningRate * lambda));
        double c = h * rule.Beta1 / (1 - rule.Beta2 + (h * lambda * (1 - rule.Beta1)));
        double conjugate = Conjugate(rule, x * lambda);
        return loss + (conjugate / lambda) + (c * (conjugate + Value(rule, -momentum) + (lambda * (momentum * x).sum().item<double>())));
    }
}
