using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Formats.Packing;
using PipelineDsl.Runtime.Formats.Safetensors;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Export;

/// <summary>A checkpoint in compressed-tensors' layout <c>pack-quantized</c>; layers of different bits or groups are groups of its configuration.</summary>
internal sealed class CompressedTensorsExporter : CheckpointExporter<IntegerGrid>
{
    /// <inheritdoc/>
    public override ExportFormats Format => ExportFormats.CompressedTensors;

    /// <inheritdoc/>
    protected override IntegerGrid? Fit(ExportLayer layer, out string reason) =>
        IntegerGrid.Find(layer.Weight, out reason) is { } grid && (reason = Problem(grid)).Length == 0 ? grid : null;

    /// <inheritdoc/>
    protected override (IEnumerable<PendingTensor> Tensors, JsonObject Configuration) Describe(IReadOnlyList<(ExportLayer Layer, IntegerGrid Form)> fitting, string[] ignored) =>
        (fitting.SelectMany(item => Tensors(item.Layer, item.Form)), Configuration(fitting, ignored));

    private static string Problem(IntegerGrid grid) =>
        grid.Bits is not (2 or 4 or 8) ? $"releases of compressed-tensors disagree on the words of {grid.Bits} bits"
        : grid.Columns % grid.GroupLength != 0 ? $"rows of {grid.Columns} are no whole groups of {grid.GroupLength}"
        : ScaleType(grid) is null ? "the scales fit neither float16 nor bfloat16"
        : "";

    private static ElementType? ScaleType(IntegerGrid grid) =>
        grid.ScalesFit(float16) ? ElementType.Of(float16) : grid.ScalesFit(bfloat16) ? ElementType.Of(bfloat16) : null;

    private static IEnumerable<PendingTensor> Tensors(ExportLayer layer, IntegerGrid grid)
    {
        int words = CompressedTensorsPacking.Words(grid.Columns, grid.Bits);
        long[] packed = [grid.Rows, words];
        var scaleType = ScaleType(grid)!;
        yield return new(layer.WeightName + "_packed", ElementType.Of(int32), packed,
            () => tensor(CompressedTensorsPacking.PackWeights(Lower(grid.Codes(), grid.Bits), grid.Rows, grid.Columns, grid.Bits), packed));
        yield return new(layer.WeightName + "_scale", scaleType, [grid.Rows, grid.Groups], () => Scales(grid, scaleType));
        yield return new(layer.WeightName + "_shape", ElementType.Of(int64), [2], () => tensor(new long[] { grid.Rows, grid.Columns }));
        if (!grid.IsSymmetric)
        {
            long[] zeros = [CompressedTensorsPacking.Words(grid.Rows, grid.Bits), grid.Groups];
            yield return new(layer.WeightName + "_zero_point", ElementType.Of(int32), zeros,
                () => tensor(CompressedTensorsPacking.PackZeros(Lower(grid.Zeros(), grid.Bits), grid.Rows, grid.Groups, grid.Bits), zeros));
        }

        if (grid.IsReordered)
        {
            yield return new(layer.WeightName + "_g_idx", ElementType.Of(int32), [grid.Columns], () => tensor(grid.GroupOf()));
        }
    }

    private static Tensor Scales(IntegerGrid grid, ElementType type)
    {
        using var scope = NewDisposeScope();
        return grid.Scales().to(type.Torch!.Value).MoveToOuterDisposeScope();
    }

    /// <summary>Unsigned codes as signed ones.</summary>
    private static sbyte[] Lower(byte[] codes, int bits)
    {
        foreach (ref byte code in codes.AsSpan())
        {
            code -= (byte)(1 << (bits - 1));
        }

        return MemoryMarshal.Cast<byte, sbyte>(codes).ToArray();
    }

    private static JsonObject Configuration(IReadOnlyList<(ExportLayer Layer, IntegerGrid Form)> fitting, string[] ignored)
    {
        var kinds = fitting.GroupBy(item => (item.Form.Bits, item.Form.IsSymmetric, item.Form.IsReordered, GroupSize: item.Form.GroupLength == item.Form.Columns ? 0 : item.Form.GroupLength)).ToList();
        var groups = new JsonObject();
        foreach (var kind in kinds)
        {
            groups[$"group_{groups.Count}"] = new JsonObject
            {
                ["targets"] = CheckpointFolder.List(kinds.Count == 1 ? ["Linear"] : kind.Select(item => item.Layer.Path)),
                ["input_activations"] = null,
                ["output_activations"] = null,
                ["weights"] = Arguments(kind.Key.Bits, kind.Key.IsSymmetric, kind.Key.IsReordered, kind.Key.GroupSize),
            };
        }

        return new()
        {
            ["quant_method"] = "compressed-tensors",
            ["format"] = "pack-quantized",
            ["quantization_status"] = "compressed",
            ["ignore"] = CheckpointFolder.List(ignored),
            ["kv_cache_scheme"] = null,
            ["config_groups"] = groups,
        };
    }

    private static JsonObject Arguments(int bits, bool isSymmetric, bool isReordered, int groupSize) => new()
    {
        ["num_bits"] = bits,
        ["type"] = "int",
        ["symmetric"] = isSymmetric,
        ["strategy"] = groupSize == 0 ? "channel" : "group",
        ["group_size"] = groupSize == 0 ? null : groupSize,
        ["actorder"] = isReordered ? "group" : null,
        ["dynamic"] = false,
        ["observer"] = "minmax",
    };
}
