using PipelineDsl.Diagnostics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Formats.Peft;

/// <summary>An adapter as PEFT stores it; owns its tensors.</summary>
/// <param name="Config">Its configuration.</param>
/// <param name="Modules">What it adds, by the module's path in the base model.</param>
/// <param name="Saved">The tensors of modules that are stored whole, by their names in the base model (<c>head.weight</c>).</param>
public sealed record PeftAdapter(PeftConfig Config, IReadOnlyDictionary<string, PeftTensors> Modules, IReadOnlyDictionary<string, Tensor> Saved) : IDisposable
{
    /// <summary>What is odd about the folder that it was read from but does no harm.</summary>
    public IReadOnlyList<RecipeDiagnostic> Warnings { get; init; } = [];

    /// <summary>Its tensors, by name without the prefix of the format.</summary>
    internal IEnumerable<(string Name, Tensor Tensor)> Tensors =>
        [.. Modules.SelectMany(module => module.Value.Parts.Select(part => (module.Key + part.Suffix, part.Tensor))), .. Saved.Select(entry => (entry.Key, entry.Value))];

    /// <summary>Compares the adapter with the model that it is for.</summary>
    /// <param name="path">Where the model's weights come from, for messages.</param>
    /// <param name="shapes">The shapes of the base model's tensors, by name.</param>
    /// <exception cref="PipelineException">PDSL3003: a module or tensor is not in the model or has another shape, or the model has a target that the adapter lacks.</exception>
    public void CheckBase(string path, IReadOnlyDictionary<string, IReadOnlyList<long>> shapes)
    {
        foreach (var (module, tensors) in Modules)
        {
            var weight = shapes.GetValueOrDefault(module + ".weight") ?? throw Unfit(path, $"the model has no '{module}.weight', which the adapter changes");
            if (!tensors.Fits(Config, weight))
            {
                throw Unfit(path, $"'{module}.weight' is [{string.Join(", ", weight)}] in the model, which does not fit {string.Join(" and ", tensors.Parts.Select(part => $"'{part.Suffix[1..]}' [{string.Join(", ", part.Tensor.shape)}]"))}");
            }
        }

        foreach (var (name, tensor) in Saved)
        {
            if (!shapes.TryGetValue(name, out var shape) || !shape.SequenceEqual(tensor.shape))
            {
                throw Unfit(path, $"'{name}' is [{string.Join(", ", tensor.shape)}] in the adapter and {(shape is null ? "absent" : $"[{string.Join(", ", shape)}]")} in the model");
            }
        }

        const string Weight = ".weight";
        var targets = shapes.Keys.Where(name => name.EndsWith(Weight, StringComparison.Ordinal) && !Config.IsSaved(name)).Select(name => name[..^Weight.Length]);
        if (targets.FirstOrDefault(module => Config.Targets.Contains(module) && !Modules.ContainsKey(module)) is { } missing)
        {
            throw Unfit(path, $"the adapter has no tensors for '{missing}', which 'target_modules' names");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (_, tensor) in Tensors)
        {
            tensor.Dispose();
        }
    }

    /// <exception cref="HeaderException">Tensors and configuration contradict each other, or a value is not finite.</exception>
    internal void Check()
    {
        Config.Check();
        foreach (var (module, tensors) in Modules)
        {
            if (!Config.Targets.Contains(module))
            {
                throw new HeaderException($"module '{module}' has tensors but is no target of 'target_modules'");
            }

            if (tensors is LoraTensors != (Config.Type == PeftType.Lora))
            {
                throw new HeaderException($"the tensors of module '{module}' are not of the configuration's type");
            }

            tensors.Check(Config, module);
        }

        CheckPatterns();
        CheckValues();
    }

    private void CheckPatterns()
    {
        string[] modules = [.. Modules.Keys];
        var idle = Config.Targets.Idle(modules)
            ?? Config.RankPattern.Select(entry => entry.Pattern).Concat(Config.AlphaPattern.Select(entry => entry.Pattern)).FirstOrDefault(pattern => !modules.Any(module => PeftPattern.IsHit(module, pattern)));
        if (idle is not null)
        {
            throw new HeaderException($"'{idle}' matches no module that has tensors");
        }

        if (Saved.Keys.FirstOrDefault(name => !Config.IsSaved(name)) is { } foreign)
        {
            throw new HeaderException($"tensor '{foreign}' belongs neither to an adapted module nor to one of 'modules_to_save'");
        }

        if (Config.ModulesToSave.FirstOrDefault(name => !Saved.Keys.Any(parameter => PeftConfig.IsPartOf(parameter, name))) is { } absent)
        {
            throw new HeaderException($"module '{absent}' of 'modules_to_save' has no tensors");
        }
    }

    private void CheckValues()
    {
        foreach (var (name, tensor) in Tensors)
        {
            if (!is_floating_point(tensor))
            {
                if (!Saved.ContainsKey(name))
                {
                    throw new HeaderException($"tensor '{name}' is {tensor.dtype} and must be floating point");
                }

                continue;
            }

            using var scope = NewDisposeScope();
            if (!tensor.isfinite().all().item<bool>())
            {
                throw new HeaderException($"tensor '{name}' holds values that are not finite");
            }
        }
    }

    private static PipelineException Unfit(string path, string reason) =>
        new(DiagnosticIds.WeightsDoNotFitModel, $"the adapter is not for '{path}': {reason}; use the adapter that belongs to this model", path);
}
