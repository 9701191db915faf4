using System.Security.Cryptography;
using System.Text;
using PipelineDsl.Runtime.Adapters;
using PipelineDsl.Runtime.Adapters.Exchange;
using PipelineDsl.Runtime.Formats.Peft;
using TorchSharp;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Models;

/// <summary>The place beside a layer of a running model where a change can stand. Its hook is there as long as the slot; without a change it passes on what the layer gives.</summary>
internal sealed class AdapterSlot : IDisposable
{
    private readonly ModelLayer layer;
    private readonly LayerOperation operation;
    private readonly bool isPlain;
    private readonly Action removeHook;
    private LayerChange? change;
    private bool ownsChange;
    private Tensor? original;

    /// <summary>Makes a place beside a layer.</summary>
    /// <exception cref="Diagnostics.PipelineException">PDSL3019: nothing can stand beside the layer as it runs.</exception>
    public AdapterSlot(ModelLayer layer)
    {
        this.layer = layer;
        isPlain = !IsCompressed(layer.Module);
        if (!isPlain && layer.Module is Conv2d)
        {
            throw ModelAdapters.Refused($"'{layer.Path}' runs as two thin convolutions, beside which no adapter can stand; load the model with this layer as it is");
        }

        try
        {
            operation = LayerOperations.Of(layer.Module);
        }
        catch (NotSupportedException failure)
        {
            throw ModelAdapters.Refused($"'{layer.Path}': {failure.Message}; use an adapter without it");
        }

        var input = LayerInput.Of(layer.Module);
        removeHook = ((nn.Module<Tensor, Tensor>)layer.Module).register_forward_hook((module, x, y) =>
            change is not { } current || original is not null ? y : current.Apply(operation, LayerOperations.Inputs(module, (input is null ? null : LayerInput.Take()) ?? x), y, Bias)).remove;
        Wanted = wanted =>
        {
            if (input is not null)
            {
                input.IsWanted = wanted;
            }
        };
    }

    private Action<bool> Wanted { get; }

    private Tensor? Bias => layer.Bias;

    /// <summary>The digest of what a layer holds: of its weight as <see cref="BaseBinding.DigestOf"/> has it, and where it runs in another form, of all parts of that form.</summary>
    public static string DigestOf(nn.Module module)
    {
        using var scope = NewDisposeScope();
        string weight = BaseBinding.DigestOf(new ModelLayer("", module).Weight);
        return !IsCompressed(module) ? weight : Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(
            string.Join('\n', module.named_buffers().Select(item => $"{item.name} {BaseBinding.DigestOf(item.buffer)}").Prepend(weight)))));
    }

    /// <summary>Reads what an adapter stores for this layer; the caller owns it.</summary>
    /// <exception cref="Diagnostics.PipelineException">PDSL3003: it does not fit. PDSL3019: it needs the weight itself, which the layer has in another form.</exception>
    public LayerChange Read(PeftAdapter source, string folder)
    {
        try
        {
            if (AdapterImport.Factors(source, layer.Path, Shape(), operation, Type, layer.Weight.device) is { } factors)
            {
                return new ThinChange(factors);
            }

            return isPlain ? new WholeChange(AdapterImport.Attach(source, layer.Path, layer.Weight, operation))
                : throw ModelAdapters.Refused($"'{layer.Path}' runs in few bits or thin factors, and the adapter in '{folder}' changes the weight itself; load the model with this layer as it is", folder);
        }
        catch (ArgumentException failure)
        {
            throw ModelAdapters.Unfit($"at '{layer.Path}', {failure.Message}", folder);
        }
    }

    /// <summary>Uses a sum of changes in place of what was used.</summary>
    public void Use(IReadOnlyList<(LayerChange Change, double Weight)> changes)
    {
        if (ownsChange)
        {
            change!.Dispose();
        }

        (change, ownsChange) = changes switch
        {
            [] => (null, false),
            [(var only, 1)] => (only, false),
            _ => (ThinChange.Mixed([.. changes.Select(item => ((ThinChange)item.Change, item.Weight))]), true),
        };
        Wanted(change is not null);
    }

    /// <summary>Makes the change part of the weight.</summary>
    public void Merge()
    {
        if (change is null || original is not null)
        {
            return;
        }

        if (!isPlain)
        {
            throw ModelAdapters.Refused($"'{layer.Path}' runs in few bits or thin factors, which take no change in place; use the adapter unmerged");
        }

        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var merged = change.Merge(operation, layer.Weight);
        if (!merged.isfinite().all().item<bool>())
        {
            throw new InvalidOperationException($"the merged weight of '{layer.Path}' has values that are not finite");
        }

        original = layer.Weight.detach().clone().DetachFromDisposeScope();
        layer.Weight.copy_(merged);
    }

    /// <summary>Puts the weight back as it was.</summary>
    public void Unmerge()
    {
        if (original is null)
        {
            return;
        }

        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        layer.Weight.copy_(original);
        original.Dispose();
        original = null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Unmerge();
        Use([]);
        removeHook();
    }

    private ScalarType Type => layer.Weight.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;

    private static bool IsCompressed(nn.Module module) => LayerInput.Of(module) is not null || module.named_buffers().Any() || module.named_children().Any();

    /// <summary>The shape of the weight that the layer was made with.</summary>
    private long[] Shape() => layer.Module switch
    {
        Linear linear => [linear.out_features, linear.in_features],
        Embedding table when table.get_buffer("widen") is { } widen => [layer.Weight.shape[0], widen.shape[0]],
        _ => layer.Weight.shape,
    };
}
