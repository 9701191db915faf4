using PipelineDsl.Runtime.Optimization;

namespace PipelineDsl.Runtime.Training;

/// <summary>The rules that a recipe's training asks for.</summary>
internal static class UpdateRules
{
    /// <summary>The groups of an optimizer: matrices with decay, all else without. Rules that work on matrices alone move the rest as AdamW does.</summary>
    /// <param name="settings">What the recipe asks for.</param>
    /// <param name="tensors">What is trained, in the order of the optimizer's state.</param>
    public static IReadOnlyList<TrainableGroup> Groups(TrainAttribute settings, IReadOnlyList<TrainedTensor> tensors)
    {
        var rule = Rule(settings);
        return [.. tensors.Select(tensor => new TrainableGroup(rule with { WeightDecay = tensor.Value.dim() > 1 ? settings.WeightDecay : 0 }, [tensor.Value]))];
    }

    /// <summary>The rule, its numbers where the recipe gives none being the optimizer's own.</summary>
    public static UpdateRule Rule(TrainAttribute settings)
    {
        double Rate(double own) => settings.LearningRate > 0 ? settings.LearningRate : own;
        double Beta1(double own) => settings.Beta1 >= 0 ? settings.Beta1 : own;
        double Beta2(double own) => settings.Beta2 >= 0 ? settings.Beta2 : own;
        int Gap(int own) => settings.OptimizerGap > 0 ? settings.OptimizerGap : own;
        double momentum = settings.Momentum >= 0 ? settings.Momentum : 0.9;
        return settings.Optimizer switch
        {
            TrainingOptimizer.AdamW => new AdamW(Rate(2e-4)) { Beta1 = Beta1(0.9), Beta2 = Beta2(0.999), EightBitState = settings.EightBitState },
            TrainingOptimizer.Adam => new Adam(Rate(2e-4)) { Beta1 = Beta1(0.9), Beta2 = Beta2(0.999) },
            TrainingOptimizer.Sgd => new Sgd(Rate(1e-2)) { Momentum = momentum },
            TrainingOptimizer.RmsProp => new RmsProp(Rate(1e-4)) { Alpha = Beta2(0.99) },
            TrainingOptimizer.Lion => new Lion(Rate(5e-5)) { Beta1 = Beta1(0.9), Beta2 = Beta2(0.99) },
            TrainingOptimizer.AdamP => new AdamP(Rate(2e-4)) { Beta1 = Beta1(0.9), Beta2 = Beta2(0.999) },
            TrainingOptimizer.SgdP => new SgdP(Rate(1e-2)) { Momentum = momentum },
            TrainingOptimizer.DctAdamW => new DctAdamW(Rate(2e-4))
            {
                Beta1 = Beta1(0.9),
                Beta2 = Beta2(0.999),
                Rank = settings.OptimizerRank,
                Gap = Gap(1),
                ErrorFeedback = settings.ErrorFeedback,
            },
            TrainingOptimizer.GaLore => new GaLore(Rate(2e-4)) { Beta1 = Beta1(0.9), Beta2 = Beta2(0.999), Rank = settings.OptimizerRank, Gap = Gap(200) },
            _ => throw new ArgumentOutOfRangeException(nameof(settings), settings.Optimizer, "unknown optimizer"),
        };
    }
}
