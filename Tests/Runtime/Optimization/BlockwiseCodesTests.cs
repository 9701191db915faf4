using PipelineDsl.Runtime.Optimization;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Optimization;

public sealed class BlockwiseCodesTests
{
    public static TheoryData<bool> Signs => [true, false];

    [Theory]
    [MemberData(nameof(Signs))]
    public void The_map_has_256_ascending_values_and_one_zero(bool signed)
    {
        float[] values = Format(signed).Map.data<float>().ToArray();
        values.Length.ShouldBe(256);
        values.ShouldBe(values.Order().Distinct());
        values.ShouldContain(0);
        values[^1].ShouldBe(1);
    }

    [Theory]
    [MemberData(nameof(Signs))]
    public void The_error_of_a_value_is_a_share_of_its_decade(bool signed)
    {
        using var scope = NewDisposeScope();
        var format = Format(signed);
        foreach (var (low, limit) in new[] { (0.1, 0.0071), (0.01, 0.00141), (0.001, 0.00029) })
        {
            var values = linspace(low, 10 * low, 255, dtype: float32);
            var block = cat([ones(1), values]);
            var (codes, scales) = format.Encode(block * 3);
            ((format.Decode(codes, scales) / 3) - block).abs().max().item<float>().ShouldBeLessThanOrEqualTo((float)(signed ? limit : limit / 2));
        }
    }

    [Fact]
    public void Blocks_do_not_know_each_other_and_one_of_zeros_stays_zero()
    {
        using var scope = NewDisposeScope();
        var values = cat([randn(256, generator: new Generator(1)) * 1e6, zeros(256), randn(40, generator: new Generator(2)) * 1e-6]);
        var (codes, scales) = BlockwiseCodes.Signed.Encode(values);
        scales.shape.ShouldBe([3]);
        var decoded = BlockwiseCodes.Signed.Decode(codes, scales);
        decoded.narrow(0, 256, 256).abs().max().item<float>().ShouldBe(0);
        decoded.narrow(0, 512, 40).ShouldBeNear(values.narrow(0, 512, 40), 0.0071);
    }

    [Fact]
    public void A_quadratic_is_minimised_as_well_as_with_full_states_in_a_quarter_of_their_bytes()
    {
        using var scope = NewDisposeScope();
        var curvatures = (rand(4096, generator: new Generator(3)) * 1.5) + 0.5;
        var start = randn(4096, generator: new Generator(4));
        (double Loss, long Bytes) Run(bool eightBit)
        {
            using var optimizer = new Optimizer([new(new AdamW(0.01) { EightBitState = eightBit }, [Trajectory.Leaf(start, out var x)])]);
            for (int step = 0; step < 100; step++)
            {
                x.grad = x.detach() * curvatures;
                optimizer.Step(1);
            }

            return ((x.detach().square() * curvatures).sum().item<float>() / 2, optimizer.StateBytes);
        }

        var (full, eight) = (Run(false), Run(true));
        eight.Loss.ShouldBe(full.Loss, 0.01 * ((start.square() * curvatures).sum().item<float>() / 2));
        eight.Bytes.ShouldBe(2 * (4096 + (4096 / 256 * 4)));
        full.Bytes.ShouldBe(2 * 4 * 4096);
    }

    private static BlockwiseCodes Format(bool signed) => signed ? BlockwiseCodes.Signed : BlockwiseCodes.Unsigned;
}
