using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Numerics;

public sealed class MiniFloatTests
{
    [Fact]
    public void The_smallest_largest_and_tied_values_are_those_of_the_formats()
    {
        MiniFloat.E4M3.Round(tensor(new[] { 448.0, 500, Math.ScaleB(1, -10), Math.ScaleB(1, -9), Math.ScaleB(3, -11) })).data<double>().ToArray()
            .ShouldBe([448, 448, 0, Math.ScaleB(1, -9), Math.ScaleB(1, -9)]);
        MiniFloat.E2M1.Round(tensor(new[] { 5.0, 0.25, -5, 100, -0.76 })).data<double>().ToArray().ShouldBe([4.0, 0, -4, 6, -1]);
        MiniFloat.E4M3.Largest.ShouldBe(448);
        MiniFloat.E2M1.Levels.ShouldBe([0, 0.5f, 1, 1.5f, 2, 3, 4, 6, 0, -0.5f, -1, -1.5f, -2, -3, -4, -6]);
        MiniFloat.E4M3.Levels.Count(float.IsNaN).ShouldBe(2);
    }

    [Fact]
    public void Every_value_keeps_its_code()
    {
        foreach (var format in new[] { MiniFloat.E2M1, MiniFloat.E4M3 })
        {
            int[] codes = [.. format.Levels.Select((level, code) => (level, code)).Where(item => !float.IsNaN(item.level) && (item.level != 0 || item.code == 0)).Select(item => item.code)];
            var stored = tensor(codes).to(uint8);
            Compare.SameBits(format.Encode(format.Decode(stored)), stored).ShouldBeTrue();
            Compare.SameBits(format.Round(format.Decode(stored)), format.Decode(stored)).ShouldBeTrue();
        }
    }

    [Fact]
    public void A_zero_has_no_sign_and_no_number_stays_none()
    {
        MiniFloat.E2M1.Encode(tensor(new[] { -0.0, -0.25, -0.1 })).data<byte>().ToArray().ShouldBe([(byte)0, 0, 0]);
        MiniFloat.E2M1.Round(tensor(new[] { double.NaN })).isnan().item<bool>().ShouldBeTrue();
    }
}
