using PipelineDsl.Runtime.Execution;

namespace PipelineDsl.Runtime.Tests.Execution;

public sealed unsafe class HalfFloatsTests
{
    private const int Odd = 61;

    public static TheoryData<string> Counts => ["whole registers", "and some more"];

    [Theory]
    [MemberData(nameof(Counts))]
    public void Every_finite_float16_from_zero_on_is_widened_exactly(string count)
    {
        if (!PackedRunner.IsSupported)
        {
            return;
        }

        ushort[] all = [.. Enumerable.Range(0, BitConverter.HalfToUInt16Bits(Half.MaxValue) + 1).Select(bits => (ushort)bits)];
        ushort[] some = count == "whole registers" ? all : all[..^Odd];
        float[] wide = new float[some.Length];
        fixed (ushort* source = some)
        fixed (float* target = wide)
        {
            HalfFloats.WidenFloat16(source, target, some.Length);
        }

        wide.Select(BitConverter.SingleToUInt32Bits).ShouldBe(some.Select(bits => BitConverter.SingleToUInt32Bits((float)BitConverter.UInt16BitsToHalf(bits))));
    }

    [Fact]
    public void Every_bfloat16_comes_back_as_it_was()
    {
        if (!PackedRunner.IsSupported)
        {
            return;
        }

        // What is no number need not keep its bits.
        ushort[] all = [.. Enumerable.Range(0, ushort.MaxValue + 1 - Odd).Select(bits => (ushort)bits).Where(bits => !float.IsNaN(BitConverter.UInt32BitsToSingle((uint)bits << 16)))];
        float[] wide = new float[all.Length];
        ushort[] narrow = new ushort[all.Length];
        fixed (ushort* source = all, back = narrow)
        fixed (float* target = wide)
        {
            HalfFloats.Widen(source, target, all.Length);
            HalfFloats.Narrow(target, back, all.Length);
        }

        narrow.ShouldBe(all);
    }
}
