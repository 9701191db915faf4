using System.Runtime.CompilerServices;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Adapters.Exchange;
using PipelineDsl.Runtime.Formats.Peft;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Native;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime;

/// <summary>The adapters of a running model: several may be loaded, and one, a mixture, or none is used.</summary>
/// <remarks>
/// Adapters are folders in the layout of PEFT, from a build of this library (the folder <c>adapter</c> of an artifact) or from elsewhere. The model's forward code stays as it is, and its layers stay the same objects. Switching sets
/// one reference a layer. With no adapter in use the model computes bit for bit what it did before. Nothing may run the model while its adapters change; members are called with <c>call</c>, not with <c>forward</c>.
/// </remarks>
public sealed class ModelAdapters
{
    private static readonly ConditionalWeakTable<nn.Module, ModelAdapters> Known = [];

    private readonly nn.Module model;
    private readonly Dictionary<string, AdapterSlot> slots = new(StringComparer.Ordinal);
    private readonly Dictionary<string, LoadedAdapter> loaded = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Tensor> replaced = new(StringComparer.Ordinal);

    private ModelAdapters(nn.Module model) => this.model = model;

    /// <summary>The names of what was added, sorted.</summary>
    public IReadOnlyList<string> Names => [.. loaded.Keys.Order(StringComparer.Ordinal)];

    /// <summary>What is in use, with what each is multiplied by.</summary>
    public IReadOnlyList<(string Name, double Weight)> Active { get; private set; } = [];

    /// <summary>Whether what is in use is part of the weights.</summary>
    public bool IsMerged { get; private set; }

    /// <summary>The adapters of a model; the same object for the same model.</summary>
    /// <param name="model">The model, on the device that it runs on.</param>
    public static ModelAdapters Of(nn.Module model)
    {
        NativeLibraries.Load();
        return Known.GetValue(model, static key => new(key));
    }

    /// <summary>Loads an adapter; it is not used yet.</summary>
    /// <param name="name">What it is called from now on.</param>
    /// <param name="folder">A folder with <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>, or an artifact with such a folder <c>adapter</c>.</param>
    /// <param name="onOtherWeights">Whether weights other than those that it was trained on are meant, such as the same in few bits; only shapes are compared then.</param>
    /// <returns>What is odd about the folder and does no harm.</returns>
    /// <exception cref="PipelineException">
    /// PDSL1015: a file is not there. PDSL3002: a file is broken or of a kind that is not supported. PDSL3003: a layer is missing or has another shape. PDSL3012: a file cannot be read.
    /// PDSL3019: the name is taken, the adapter was trained on other weights, or a layer runs in a form that it cannot stand beside.
    /// </exception>
    public IReadOnlyList<RecipeDiagnostic> Add(string name, string folder, bool onOtherWeights = false)
    {
        if (loaded.ContainsKey(name))
        {
            throw Refused($"there is an adapter '{name}' already; give this one another name, or remove that one first", folder);
        }

        string inside = Path.Combine(folder, "adapter");
        string place = !File.Exists(Path.Combine(folder, PeftFolder.ConfigFile)) && File.Exists(Path.Combine(inside, PeftFolder.ConfigFile)) ? inside : folder;
        bool wasMerged = IsMerged;
        Unmerge();
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var source = PeftFolder.Read(place);
        var layers = ModelLayer.Find(model).Where(layer => layer.Kind != LayerKinds.None).ToDictionary(layer => layer.Path, StringComparer.Ordinal);
        RequireTargets(source, layers, place);
        if (!onOtherWeights)
        {
            RequireBase(source, layers, place);
        }

        var changes = new Dictionary<string, LayerChange>(StringComparer.Ordinal);
        try
        {
            foreach (string path in source.Modules.Keys)
            {
                if (!slots.TryGetValue(path, out var slot))
                {
                    slots[path] = slot = new AdapterSlot(layers[path]);
                }

                changes[path] = slot.Read(source, place);
            }

            loaded[name] = new LoadedAdapter(changes, SavedOf(source, place));
        }
        catch
        {
            foreach (var change in changes.Values)
            {
                change.Dispose();
            }

            Sweep();
            throw;
        }

        if (wasMerged)
        {
            Merge();
        }

        return source.Warnings;
    }

    /// <summary>Uses one adapter as it was trained.</summary>
    /// <exception cref="PipelineException">PDSL3019: there is none of this name.</exception>
    public void Use(string name) => Use((name, 1));

    /// <summary>Uses the sum of several adapters, each multiplied by a number.</summary>
    /// <param name="adapters">Names and numbers; adapters whose change is one of low rank. A single one with 1 may be of any kind.</param>
    /// <exception cref="PipelineException">PDSL3019: there is none of a name, a name comes twice, a number is none, or an adapter cannot be mixed.</exception>
    public void Use(params (string Name, double Weight)[] adapters)
    {
        foreach (var (name, weight) in adapters)
        {
            var adapter = Find(name);
            if (!double.IsFinite(weight) || adapters.Count(other => other.Name == name) > 1)
            {
                throw Refused($"adapter '{name}' is to be used {(double.IsFinite(weight) ? "twice at once; add its numbers up" : $"times {weight}; give a finite number")}");
            }

            if ((adapters.Length > 1 || weight != 1) && adapter.Unmixable is { } reason)
            {
                throw Refused($"adapter '{name}' {reason}, so it has no multiples and no sums; use it alone, with 1");
            }
        }

        Unmerge();
        Restore();
        using var noGradients = no_grad();
        foreach (var (path, slot) in slots)
        {
            slot.Use([.. adapters.Where(item => loaded[item.Name].Changes.ContainsKey(path)).Select(item => (loaded[item.Name].Changes[path], item.Weight))]);
        }

        foreach (var (parameter, value) in adapters.SelectMany(item => loaded[item.Name].Saved))
        {
            using var scope = NewDisposeScope();
            var own = model.state_dict()[parameter];
            replaced[parameter] = own.detach().clone().DetachFromDisposeScope();
            own.copy_(value);
        }

        Active = [.. adapters];
    }

    /// <summary>Uses none: the model is as it was, bit for bit.</summary>
    public void None() => Use(Array.Empty<(string, double)>());

    /// <summary>Makes what is in use part of the weights, in place: the model then costs what it cost without adapters.</summary>
    /// <exception cref="PipelineException">PDSL3019: a layer runs in a form of few bits or thin factors, which takes no change in place.</exception>
    /// <exception cref="InvalidOperationException">A merged value is not finite; the model stays as it was.</exception>
    public void Merge()
    {
        if (IsMerged)
        {
            return;
        }

        try
        {
            IsMerged = true;
            foreach (var slot in slots.Values)
            {
                slot.Merge();
            }
        }
        catch
        {
            Unmerge();
            throw;
        }
    }

    /// <summary>Takes what was merged out of the weights again, bit for bit.</summary>
    public void Unmerge()
    {
        foreach (var slot in slots.Values)
        {
            slot.Unmerge();
        }

        IsMerged = false;
    }

    /// <summary>Forgets an adapter; where it is in use, none is used from then on.</summary>
    /// <exception cref="PipelineException">PDSL3019: there is none of this name.</exception>
    public void Remove(string name)
    {
        var adapter = Find(name);
        if (Active.Any(item => item.Name == name))
        {
            None();
        }

        loaded.Remove(name);
        adapter.Dispose();
        Sweep();
    }

    /// <summary>Gives up places that no adapter changes.</summary>
    private void Sweep()
    {
        foreach (string path in slots.Keys.Where(path => !loaded.Values.Any(other => other.Changes.ContainsKey(path))).ToList())
        {
            slots[path].Dispose();
            slots.Remove(path);
        }
    }

    private LoadedAdapter Find(string name) => loaded.TryGetValue(name, out var found) ? found
        : throw Refused($"there is no adapter '{name}'{NearestName.Hint(name, loaded.Keys)}; {(loaded.Count == 0 ? "add one first" : $"added are {string.Join(", ", Names)}")}");

    /// <summary>Puts back what stood in the place of modules that an adapter stores whole.</summary>
    private void Restore()
    {
        using var noGradients = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (parameter, value) in replaced)
        {
            model.state_dict()[parameter].copy_(value);
            value.Dispose();
        }

        replaced.Clear();
    }

    private static void RequireTargets(PeftAdapter source, Dictionary<string, ModelLayer> layers, string folder)
    {
        if (source.Modules.Keys.FirstOrDefault(path => !layers.ContainsKey(path)) is { } absent)
        {
            throw Unfit($"the model has no layer '{absent}' with a weight{NearestName.Hint(absent, layers.Keys)}", folder);
        }

        if (layers.Keys.FirstOrDefault(path => source.Config.Targets.Contains(path) && !source.Modules.ContainsKey(path) && !source.Config.IsSaved(path + ".weight")) is { } missing)
        {
            throw Unfit($"the adapter has no tensors for '{missing}', which 'target_modules' names", folder);
        }
    }

    private static void RequireBase(PeftAdapter source, Dictionary<string, ModelLayer> layers, string folder)
    {
        if (BaseBinding.Read(folder) is not { } binding)
        {
            return;
        }

        string[] others = [.. source.Modules.Keys.Where(path => !binding.Digests.TryGetValue(path, out string? digest) || digest != AdapterSlot.DigestOf(layers[path].Module))];
        if (others.Length > 0)
        {
            throw Refused(
                $"the adapter in '{folder}' was trained on other weights of '{binding.Model}' than these: '{others[0]}'{(others.Length > 1 ? $" and {others.Length - 1} more layers differ" : " differs")}; load the weights that belong to it, or add it with 'onOtherWeights: true' where these are meant",
                folder);
        }
    }

    private Dictionary<string, Tensor> SavedOf(PeftAdapter source, string folder)
    {
        var state = model.state_dict();
        foreach (var (parameter, value) in source.Saved)
        {
            if (!state.TryGetValue(parameter, out var own) || !own.shape.SequenceEqual(value.shape))
            {
                throw Unfit($"'{parameter}' is [{string.Join(", ", value.shape)}] in the adapter and {(own is null ? "absent" : $"[{string.Join(", ", own.shape)}]")} in the model", folder);
            }
        }

        return source.Saved.ToDictionary(item => item.Key, item => item.Value.clone().DetachFromDisposeScope(), StringComparer.Ordinal);
    }

    internal static PipelineException Unfit(string reason, string folder) =>
        new(DiagnosticIds.WeightsDoNotFitModel, $"the adapter in '{folder}' is not for this model: {reason}; use the adapter that belongs to it", folder);

    internal static PipelineException Refused(string message, string folder = "") => new(DiagnosticIds.AdapterRefused, message, folder);
}
