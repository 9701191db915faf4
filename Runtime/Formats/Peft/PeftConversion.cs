using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Formats.Peft;

/// <summary>Exact rewritings of adapters as plain LoRA, which every client of PEFT adapters reads.</summary>
public static class PeftConversion
{
    /// <summary>
    /// Rewrites an adapter whose initialisation changed the base (PiSSA, OLoRA, CorDA) for the original base, with twice the rank:
    /// s (B₁ A₁ − B₀ A₀) = s [B₁, −B₀] [A₁; A₀]. Magnitude vectors and saved modules are carried over, which PEFT's own conversion loses.
    /// </summary>
    /// <param name="trained">The adapter after training.</param>
    /// <param name="initial">The same adapter right after its initialisation.</param>
    /// <returns>An adapter of its own tensors, in the dtypes of the trained one; the caller owns it.</returns>
    /// <exception cref="ArgumentException">An adapter is no LoRA, rsLoRA is used with patterns (one α cannot then keep every scaling), or the two differ in modules, shapes or scalings.</exception>
    public static PeftAdapter ToPlainLora(PeftAdapter trained, PeftAdapter initial)
    {
        var config = trained.Config;
        Require(config.Type == PeftType.Lora && initial.Config.Type == PeftType.Lora, "only LoRA adapters have factors to join");
        Require(!config.UseRsLora || config.RankPattern.Count + config.AlphaPattern.Count == 0, "rsLoRA with 'rank_pattern' or 'alpha_pattern' has no exact plain form; write the residual base instead");
        Require(trained.Modules.Count == initial.Modules.Count, "the trained and the initial adapter have different modules");
        using var noGradients = no_grad();
        using var scope = NewDisposeScope();
        var modules = new Dictionary<string, PeftTensors>(StringComparer.Ordinal);
        foreach (var (module, tensors) in trained.Modules)
        {
            var (after, before) = ((LoraTensors)tensors, initial.Modules.GetValueOrDefault(module) as LoraTensors);
            Require(before is not null && after.A.shape.SequenceEqual(before.A.shape) && after.B.shape.SequenceEqual(before.B.shape), $"module '{module}' differs in shape between the trained and the initial adapter");
            Require(config.ScalingOf(module) == initial.Config.ScalingOf(module), $"module '{module}' differs in scaling between the trained and the initial adapter");
            var (a, b) = ThinFactors.Since(after.A, after.B, before!.A, before.B, after.Groups);
            modules.Add(module, after with { A = a, B = b, Magnitude = after.Magnitude?.clone() });
        }

        return Owned(new(Doubled(config), modules, Copies(trained.Saved)));
    }

    /// <summary>Rewrites a MiSS (Bone) adapter of linear modules as plain LoRA of the same rank and scaling 1: A repeats the identity along the input, B = Dᵀ.</summary>
    /// <param name="adapter">The adapter.</param>
    /// <param name="shapes">The shapes [out, in] of the base model's tensors, by name (<c>q_proj.weight</c>).</param>
    /// <returns>An adapter of its own tensors, in the adapter's dtypes; the caller owns it.</returns>
    /// <exception cref="ArgumentException">The adapter is no MiSS, or Bat, whose update may have full rank; or a weight is unknown or does not fit.</exception>
    public static PeftAdapter ToPlainLora(PeftAdapter adapter, IReadOnlyDictionary<string, IReadOnlyList<long>> shapes)
    {
        var config = adapter.Config;
        Require(config.Type == PeftType.Miss, "the adapter has no MiSS blocks");
        Require(config.Initialization != PeftConfig.BatInitialization, "the update of a 'bat' block may have full rank; merge it instead");
        using var noGradients = no_grad();
        using var scope = NewDisposeScope();
        var modules = new Dictionary<string, PeftTensors>(StringComparer.Ordinal);
        foreach (var (module, tensors) in adapter.Modules)
        {
            var block = ((MissTensors)tensors).Block;
            var shape = shapes.GetValueOrDefault(module + ".weight");
            Require(shape is not null && tensors.Fits(config, shape), $"'{module}.weight' is {(shape is null ? "unknown" : $"[{string.Join(", ", shape)}]")}, which does not fit the block");
            var (a, b) = ThinFactors.OfShards(block, shape![0], shape[1]);
            modules.Add(module, new LoraTensors(a.contiguous(), b.contiguous()));
        }

        var plain = new PeftConfig
        {
            Type = PeftType.Lora,
            Rank = config.Rank,
            Alpha = config.Rank,
            Targets = config.Targets,
            ModulesToSave = config.ModulesToSave,
            Dropout = config.Dropout,
            TaskType = config.TaskType,
            BaseModel = config.BaseModel,
        };
        return Owned(new(plain, modules, Copies(adapter.Saved)));
    }

    /// <summary>The configuration that keeps every scaling at twice the rank.</summary>
    private static PeftConfig Doubled(PeftConfig config) => config with
    {
        Initialization = PeftConfig.DefaultInitialization,
        Rank = config.Rank * 2,
        Alpha = config.Alpha * (config.UseRsLora ? Math.Sqrt(2) : 2),
        RankPattern = [.. config.RankPattern.Select(entry => (entry.Pattern, entry.Rank * 2))],
        AlphaPattern = [.. config.AlphaPattern.Select(entry => (entry.Pattern, entry.Alpha * 2))],
    };

    private static Dictionary<string, Tensor> Copies(IReadOnlyDictionary<string, Tensor> tensors) => tensors.ToDictionary(entry => entry.Key, entry => entry.Value.clone(), StringComparer.Ordinal);

    private static PeftAdapter Owned(PeftAdapter adapter)
    {
        foreach (var (_, tensor) in adapter.Tensors)
        {
            tensor.MoveToOuterDisposeScope();
        }

        return adapter;
    }

    private static void Require(bool holds, string reason)
    {
        if (!holds)
        {
            throw new ArgumentException($"the adapter cannot become a plain LoRA: {reason}");
        }
    }
}
