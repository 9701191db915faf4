using PipelineDsl.Runtime.Formats.Nunchaku;

namespace PipelineDsl.Runtime.Tests.Formats.Nunchaku;

public sealed class MmaPackingTests
{
    [Theory]
    [InlineData(128, 128)]
    [InlineData(256, 384)]
    [InlineData(100, 130)]
    [InlineData(1, 1)]
    public void Codes_of_any_shape_come_back(int rows, int columns)
    {
        sbyte[] codes = [.. Enumerable.Range(0, rows * columns).Select(i => (sbyte)((i * 7 % 16) - 8))];
        byte[] packed = MmaPacking.PackCodes(codes, rows, columns);
        packed.Length.ShouldBe((rows + 127) / 128 * 128 * ((columns + 127) / 128 * 128) / 2);
        MmaPacking.UnpackCodes(packed, rows, columns, signed: true).ShouldBe(codes);
        MmaPacking.UnpackCodes(packed, rows, columns, signed: false).ShouldBe(codes.Select(code => (sbyte)(code & 15)));
    }

    [Theory]
    [InlineData(128, 2, 64)]
    [InlineData(130, 3, 64)]
    [InlineData(256, 1, 128)]
    [InlineData(5, 9, 16)]
    public void Scales_come_back_and_are_padded_with_one(int rows, int groups, int groupSize)
    {
        float[] scales = [.. Enumerable.Range(2, rows * groups).Select(i => (float)i)];
        float[] packed = MmaPacking.PackScales<float>(scales, rows, groups, groupSize, 1);
        MmaPacking.UnpackScales<float>(packed, rows, groups, groupSize).ShouldBe(scales);
        packed.Count(scale => scale == 1).ShouldBe(packed.Length - scales.Length);
    }

    [Theory]
    [InlineData(128, 8)]
    [InlineData(200, 5)]
    public void Micro_scales_come_back_and_are_padded_with_one(int rows, int groups)
    {
        byte[] scales = [.. Enumerable.Range(0, rows * groups).Select(i => (byte)(i % 50))];
        byte[] packed = MmaPacking.PackMicroScales(scales, rows, groups);
        MmaPacking.UnpackMicroScales(packed, rows, groups).ShouldBe(scales);
        packed.Count(scale => scale == 0x38).ShouldBe(packed.Length - scales.Length);
    }

    [Theory]
    [InlineData(128, 16, true)]
    [InlineData(48, 32, false)]
    [InlineData(50, 5, true)]
    [InlineData(50, 5, false)]
    public void Factors_come_back(int channels, int rank, bool lower)
    {
        int[] factor = [.. Enumerable.Range(1, channels * rank)];
        int[] packed = MmaPacking.PackFactor<int>(factor, channels, rank, lower);
        MmaPacking.UnpackFactor<int>(packed, channels, rank, lower).ShouldBe(factor);
        packed.Count(value => value == 0).ShouldBe(packed.Length - factor.Length);
    }
}
