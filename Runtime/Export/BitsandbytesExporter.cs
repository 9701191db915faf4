using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Formats.Packing;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Export;

/// <summary>A checkpoint in bitsandbytes' 4-bit NormalFloat layout, with plain or quantised scales.</summary>
internal sealed class BitsandbytesExporter : CheckpointExporter<NormalFloatForm>
{
    private const string QuantType = "nf4";

    /// <inheritdoc/>
    public override ExportFormats Format => ExportFormats.Bitsandbytes;

    /// <inheritdoc/>
    protected override NormalFloatForm? Fit(ExportLayer layer, out string reason)
    {
        var codes = BlockGrid.Find(layer.Weight);
        var nested = codes is null ? null : BlockGrid.Find(codes.Grid.Scales);
        reason = Problem(codes, nested) ?? "";
        return reason.Length == 0 ? new(codes!, nested) : null;
    }

    /// <inheritdoc/>
    protected override (IEnumerable<PendingTensor> Tensors, JsonObject Configuration) Describe(IReadOnlyList<(ExportLayer Layer, NormalFloatForm Form)> fitting, string[] ignored) =>
        (fitting.SelectMany(item => Tensors(item.Layer, item.Form.Codes, item.Form.Nested)),
         Configuration(ignored, fitting.Any(item => item.Form.Nested is not null), fitting[0].Layer.Type));

    private static string? Problem(BlockGrid? codes, BlockGrid? nested) =>
        codes is null || codes.Grid.Geometry.Bits != 4 || !MemoryMarshal.Cast<byte, float>(codes.Levels.bytes).SequenceEqual(NormalFloat4.Levels) ? "the values are no 4-bit NormalFloat levels in blocks"
        : codes.Grid.Zeros is not null ? "the values have offsets"
        : codes.BlockSize is not (64 or 128 or 256 or 512 or 1024 or 2048 or 4096) ? $"the format has no blocks of {codes.BlockSize}"
        : !IsPlain(codes.Grid.Scales) && (nested is null || nested.Grid.Geometry.Bits != 8 || !IsPlain(nested.Grid.Scales) || nested.Grid.Zeros?.numel() > 1) ? "the scales are quantised in another way"
        : null;

    private static bool IsPlain(Expression scales) => scales is Dense || (scales is Reshaped reshaped && IsPlain(reshaped.Inner));

    private static IEnumerable<PendingTensor> Tensors(ExportLayer layer, BlockGrid codes, BlockGrid? nested)
    {
        string name = layer.WeightName;
        long[] packed = [(codes.Count + 1) / 2, 1];
        yield return new(name, ElementType.Of(uint8), packed, () => tensor(NibblePairs.Pack(codes.Codes()), packed));
        yield return Floats(name + ".quant_map", 16, () => codes.Levels.alias());
        NestedQuantState? state = null;
        if (nested is null)
        {
            yield return Floats(name + ".absmax", codes.Blocks, codes.Scales);
        }
        else
        {
            state = new((int)nested.BlockSize, "float32", nested.Grid.Zeros?.to(float32).item<float>() ?? 0);
            yield return new(name + ".absmax", ElementType.Of(uint8), [codes.Blocks], () => tensor(nested.Codes()));
            yield return Floats(name + ".nested_absmax", nested.Blocks, nested.Scales);
            yield return Floats(name + ".nested_quant_map", 256, () => nested.Levels.alias());
        }

        byte[] text = new QuantState(QuantType, (int)codes.BlockSize, DtypeName(layer.Type), layer.Shape, state).Write();
        yield return new($"{name}.quant_state.bitsandbytes__{QuantType}", ElementType.Of(uint8), [text.Length], () => tensor(text));
    }

    private static PendingTensor Floats(string name, long count, Func<Tensor> load) => new(name, ElementType.Of(float32), [count], load);

    private static string DtypeName(ElementType type) => type.Name switch { "F16" => "float16", "BF16" => "bfloat16", _ => "float32" };

    private static JsonObject Configuration(IEnumerable<string> ignored, bool isNested, ElementType type) => new()
    {
        ["quant_method"] = "bitsandbytes",
        ["load_in_4bit"] = true,
        ["load_in_8bit"] = false,
        ["bnb_4bit_quant_type"] = QuantType,
        ["bnb_4bit_use_double_quant"] = isNested,
        ["bnb_4bit_compute_dtype"] = DtypeName(type),
        ["bnb_4bit_quant_storage"] = "uint8",
        ["llm_int8_skip_modules"] = CheckpointFolder.List(ignored),
        ["llm_int8_threshold"] = 6.0,
        ["llm_int8_enable_fp32_cpu_offload"] = false,
        ["llm_int8_has_fp16_weight"] = false,
    };
}

/// <summary>What the format holds of a weight.</summary>
/// <param name="Codes">The codes of its values.</param>
/// <param name="Nested">The codes of their scales, or null for plain scales.</param>
internal sealed record NormalFloatForm(BlockGrid Codes, BlockGrid? Nested);
