using System.Globalization;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>Round-to-nearest against the float64 reference.</summary>
[Trait("Category", "Golden")]
public sealed class RoundToNearestGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("quant-baselines");

    [Fact]
    public void Codes_scales_and_zero_points_equal_the_reference()
    {
        var weight = golden["in.weight"];
        int compared = 0;
        foreach (string bits in golden.Variants("out.rtn."))
        {
            foreach (string kind in golden.Variants($"out.rtn.{bits}."))
            {
                string prefix = $"out.rtn.{bits}.{kind}.";
                var grid = new GridGeometry(
                    weight.shape[0], weight.shape[1], int.Parse(bits[1..], CultureInfo.InvariantCulture), kind == "sym", Granularity.Group, golden.Integer("group_size"));
                var result = RoundToNearest.Of(weight, grid, float64);
                result.Codes.to(int64).eq(golden[prefix + "codes"].to(int64)).all().item<bool>().ShouldBeTrue(prefix);
                result.Scales.ShouldBeNear(golden[prefix + "scale"], 1e-14);
                var offsets = result.Zeros ?? zeros(grid.ScaleShape, dtype: int64);
                offsets.to(int64).eq(golden[prefix + "zero"].to(int64)).all().item<bool>().ShouldBeTrue(prefix);

                var scales = Spread(result.Scales, grid);
                var restored = scales * (result.Codes - Spread(offsets, grid));
                ((restored - weight).abs() <= scales * (0.5 + 1e-12)).all().item<bool>().ShouldBeTrue(prefix);
                compared++;
            }
        }

        compared.ShouldBeGreaterThan(0);
    }

    private static Tensor Spread(Tensor perGroup, GridGeometry grid) =>
        perGroup.to(float64).repeat_interleave(grid.GroupLength, 1).narrow(1, 0, grid.Columns);
}
