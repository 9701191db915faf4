using PipelineDsl.Runtime.Formats.Peft;
using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters.Exchange;

/// <summary>Makes adapters of what PEFT stores.</summary>
internal static class AdapterImport
{
    /// <summary>The adapter of one module.</summary>
    /// <param name="source">The folder's content; still the caller's.</param>
    /// <param name="module">The module's path, one of the source's.</param>
    /// <param name="weight">The model's weight, shared and still the caller's.</param>
    /// <param name="operation">What the layer does with it.</param>
    /// <returns>The adapter with the stored numbers, in float32 or wider; the caller owns it.</returns>
    /// <exception cref="ArgumentException">The stored tensors do not fit the weight; the message says how.</exception>
    /// <exception cref="NotSupportedException">The layer cannot be adapted.</exception>
    public static Adapter Attach(PeftAdapter source, string module, Tensor weight, LayerOperation operation)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var tensors = source.Modules[module];
        RequireFit(tensors, source.Config, weight.shape, operation);
        var frozen = weight.detach();
        var type = weight.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;
        Adapter adapter = tensors switch
        {
            LoraTensors lora => Lora(source.Config, module, lora, frozen, operation, type),
            MissTensors miss when source.Config.Initialization == PeftConfig.BatInitialization => new BatAdapter(frozen, Wide(miss.Block)),
            MissTensors miss => new BoneAdapter(frozen, Wide(miss.Block)),
            _ => throw new NotSupportedException($"tensors of {tensors.GetType().Name} are no adapter"),
        };
        adapter.Own(frozen, null);
        return adapter;

        Tensor Wide(Tensor tensor) => tensor.to(type, weight.device, copy: true);
    }

    /// <summary>The change of one module's weight as a low-rank one, or null where it is none (magnitudes, Bat).</summary>
    /// <param name="source">The folder's content; still the caller's.</param>
    /// <param name="module">The module's path, one of the source's.</param>
    /// <param name="weight">The weight's shape.</param>
    /// <param name="operation">What the layer does with it.</param>
    /// <param name="type">The dtype of the factors.</param>
    /// <param name="device">Their device.</param>
    /// <returns>Factors of their own; the caller owns them.</returns>
    /// <exception cref="ArgumentException">The stored tensors do not fit the weight; the message says how.</exception>
    public static LowRankDelta? Factors(PeftAdapter source, string module, long[] weight, LayerOperation operation, ScalarType type, Device device)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var tensors = source.Modules[module];
        RequireFit(tensors, source.Config, weight, operation);
        if (source.Config.UseDora || (tensors is MissTensors && source.Config.Initialization == PeftConfig.BatInitialization))
        {
            return null;
        }

        var (a, b) = tensors is LoraTensors lora ? (lora.A, lora.B.flatten(1)) : ThinFactors.OfShards(((MissTensors)tensors).Block, weight[0], weight[1]);
        return new(
            a.to(type, device, copy: true).contiguous().MoveToOuterDisposeScope(),
            b.to(type, device, copy: true).contiguous().MoveToOuterDisposeScope(),
            source.Config.ScalingOf(module));
    }

    private static LoraAdapter Lora(PeftConfig config, string module, LoraTensors tensors, Tensor weight, LayerOperation operation, ScalarType type)
    {
        var step = new Lora
        {
            Rank = config.RankOf(module),
            Alpha = config.AlphaOf(module),
            RankStabilized = config.UseRsLora,
            WeightDecomposed = config.UseDora,
            Dropout = config.Dropout,
        };
        var (a, b) = (tensors.A.to(type, weight.device, copy: true), tensors.B.flatten(1).to(type, weight.device, copy: true));
        var adapter = new LoraAdapter(step, operation, weight, a, b, changesBase: false);
        adapter.Magnitude?.copy_(tensors.Magnitude!.reshape(-1));
        return adapter;
    }

    /// <summary>Weights are [out, in] here, whatever <c>fan_in_fan_out</c> says of the model that the adapter was trained on.</summary>
    private static void RequireFit(PeftTensors tensors, PeftConfig config, long[] weight, LayerOperation operation)
    {
        bool fits = tensors switch
        {
            LoraTensors lora => lora.IsEmbedding == (operation == LayerOperation.Lookup) && lora.Groups == 1 && lora.Fits(config with { FanInFanOut = false }, weight),
            _ => operation == LayerOperation.Linear && tensors.Fits(config, weight),
        };
        if (!fits)
        {
            throw new ArgumentException($"a weight of [{string.Join(", ", weight)}] does not fit {string.Join(" and ", tensors.Parts.Select(part => $"'{part.Suffix[1..]}' [{string.Join(", ", part.Tensor.shape)}]"))}");
        }
    }
}
