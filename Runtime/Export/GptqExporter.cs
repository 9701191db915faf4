using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Formats.Packing;
using PipelineDsl.Runtime.Formats.Safetensors;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Export;

/// <summary>A checkpoint in GPTQ's layout. It has one number of bits and one group size: those of most weights; layers with others stay floats.</summary>
internal sealed class GptqExporter : CheckpointExporter<IntegerGrid>
{
    private const int Multiple = 32;
    private const int WholeRow = -1;

    /// <inheritdoc/>
    public override ExportFormats Format => ExportFormats.Gptq;

    /// <inheritdoc/>
    protected override IntegerGrid? Fit(ExportLayer layer, out string reason) =>
        IntegerGrid.Find(layer.Weight, out reason) is { } grid && (reason = Problem(grid)).Length == 0 ? grid : null;

    /// <inheritdoc/>
    protected override void Narrow(List<(ExportLayer Layer, IntegerGrid Form)> fitting, List<FloatLayer> floats)
    {
        if (fitting.Count == 0)
        {
            return;
        }

        var (bits, groupSize) = Common([.. fitting.Select(item => item.Form)]);
        string common = $"{bits} bits in {(groupSize == WholeRow ? "rows" : $"groups of {groupSize}")}";
        floats.AddRange(fitting.Where(item => !Has(item.Form, bits, groupSize)).Select(item => new FloatLayer(item.Layer.Path,
            $"the format has one grid for all layers, which is here {common}, and no {item.Form.Bits} bits in groups of {item.Form.GroupLength}")));
        fitting.RemoveAll(item => !Has(item.Form, bits, groupSize));
    }

    /// <inheritdoc/>
    protected override (IEnumerable<PendingTensor> Tensors, JsonObject Configuration) Describe(IReadOnlyList<(ExportLayer Layer, IntegerGrid Form)> fitting, string[] ignored)
    {
        IntegerGrid[] grids = [.. fitting.Select(item => item.Form)];
        var version = grids.Any(grid => grid.Zeros().Contains((byte)0)) ? GptqVersion.V2 : GptqVersion.V1;
        return (fitting.SelectMany(item => Tensors(item.Layer, item.Form, version)), Configuration(grids, [.. fitting.Select(item => item.Layer.Path)], ignored, version));
    }

    private static string Problem(IntegerGrid grid) =>
        !GptqPacking.Has(grid.Bits) ? $"the format has no {grid.Bits} bits"
        : grid.Rows % Multiple != 0 || grid.Columns % Multiple != 0 ? $"{grid.Rows} × {grid.Columns} are no multiples of {Multiple}"
        : grid.Columns % grid.GroupLength != 0 ? $"rows of {grid.Columns} are no whole groups of {grid.GroupLength}"
        : !grid.ScalesFit(float16) ? "the scales do not fit float16"
        : "";

    /// <summary>The bits and group size that most values have.</summary>
    private static (int Bits, int GroupSize) Common(IntegerGrid[] grids) => grids
        .SelectMany(grid => new[] { (grid.Bits, GroupSize: grid.GroupLength), (grid.Bits, GroupSize: WholeRow) })
        .Distinct()
        .OrderByDescending(setting => grids.Where(grid => Has(grid, setting.Bits, setting.GroupSize)).Sum(grid => (long)grid.Rows * grid.Columns))
        .ThenBy(setting => setting)
        .First();

    private static bool Has(IntegerGrid grid, int bits, int groupSize) =>
        grid.Bits == bits && (grid.GroupLength == groupSize || (groupSize == WholeRow && grid.GroupLength == grid.Columns));

    private static IEnumerable<PendingTensor> Tensors(ExportLayer layer, IntegerGrid grid, GptqVersion version)
    {
        long[] weights = [grid.Columns * grid.Bits / 32, grid.Rows];
        long[] zeros = [grid.Groups, grid.Rows * grid.Bits / 32];
        yield return new(layer.Path + ".qweight", ElementType.Of(int32), weights, () => tensor(GptqPacking.PackWeights(grid.Codes(), grid.Rows, grid.Columns, grid.Bits), weights));
        yield return new(layer.Path + ".qzeros", ElementType.Of(int32), zeros, () => tensor(GptqPacking.PackZeros(grid.Zeros(), grid.Rows, grid.Groups, grid.Bits, version), zeros));
        yield return new(layer.Path + ".scales", ElementType.Of(float16), [grid.Groups, grid.Rows], () => Transposed(grid));
        yield return new(layer.Path + ".g_idx", ElementType.Of(int32), [grid.Columns], () => tensor(grid.GroupOf()));
    }

    private static Tensor Transposed(IntegerGrid grid)
    {
        using var scope = NewDisposeScope();
        return grid.Scales().to(float16).mT.contiguous().MoveToOuterDisposeScope();
    }

    private static JsonObject Configuration(IntegerGrid[] grids, string[] quantized, string[] ignored, GptqVersion version)
    {
        var (bits, groupSize) = Common(grids);
        return new()
        {
            ["quant_method"] = "gptq",
            ["checkpoint_format"] = version == GptqVersion.V1 ? "gptq" : "gptq_v2",
            ["bits"] = bits,
            ["group_size"] = groupSize,
            ["desc_act"] = grids.Any(grid => grid.IsReordered),
            ["sym"] = grids.All(grid => grid.IsSymmetric),
            ["static_groups"] = false,
            ["true_sequential"] = true,
            ["lm_head"] = quantized.Contains("lm_head"),
            ["pack_dtype"] = "int32",
            // The format has no list of exceptions; two families of readers have one each.
            ["dynamic"] = new JsonObject(ignored.Select(path => KeyValuePair.Create("-:^" + Regex.Escape(path) + "$", (JsonNode?)new JsonObject()))),
            ["modules_in_block_to_quantize"] = new JsonArray([.. quantized.Select(path => CheckpointFolder.List([path]))]),
        };
    }
}
