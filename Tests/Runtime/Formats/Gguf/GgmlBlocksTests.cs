using PipelineDsl.Runtime.Formats.Gguf;

namespace PipelineDsl.Runtime.Tests.Formats.Gguf;

public sealed class GgmlBlocksTests
{
    public static TheoryData<string, double> Quantised { get; } = new() { { "Q4_0", 0.12 }, { "Q8_0", 0.008 }, { "Q4_K", 0.1 }, { "Q6_K", 0.03 } };

    [Theory]
    [MemberData(nameof(Quantised))]
    public void Encoded_values_come_back_within_the_precision_of_their_type(string name, double tolerance)
    {
        var type = TypeOf(name);
        var random = new Random(3);
        float[] values = [.. Enumerable.Range(0, 1024).Select(_ => (float)(random.NextDouble() + random.NextDouble() - 1))];

        float[] restored = RoundTrip(type, values);

        double error = Math.Sqrt(values.Zip(restored).Sum(pair => Math.Pow(pair.First - pair.Second, 2)) / values.Sum(value => (double)value * value));
        error.ShouldBeLessThan(tolerance);
    }

    [Theory]
    [MemberData(nameof(Quantised))]
    public void Zeros_stay_zeros(string name, double tolerance)
    {
        tolerance.ShouldBePositive();
        RoundTrip(TypeOf(name), new float[256]).ShouldAllBe(value => value == 0);
    }

    [Theory]
    [MemberData(nameof(Quantised))]
    public void The_extremes_of_float32_are_encoded_or_refused_but_never_become_infinite(string name, double tolerance)
    {
        tolerance.ShouldBePositive();
        var type = TypeOf(name);
        foreach (float extreme in new[] { float.Epsilon, 1e-38f, 1e-8f, 6e4f })
        {
            RoundTrip(type, [.. Enumerable.Range(0, 256).Select(i => i % 3 == 0 ? extreme : -extreme)]).ShouldAllBe(value => float.IsFinite(value));
        }

        foreach (float impossible in new[] { float.NaN, float.PositiveInfinity, float.MaxValue })
        {
            Should.Throw<ArgumentException>(() => RoundTrip(type, [.. Enumerable.Repeat(impossible, 256)]));
        }
    }

    [Fact]
    public void A_Q4_0_scale_carries_the_sign_of_the_extreme_value()
    {
        float[] values = new float[32];
        values[5] = -4;
        values[6] = 3.5f;
        RoundTrip(GgmlType.Q4_0, values).ShouldBe(values);
        float[] mirrored = [.. values.Select(value => -value)];
        RoundTrip(GgmlType.Q4_0, mirrored).ShouldBe(mirrored);
    }

    [Fact]
    public void A_Q4_K_block_of_one_repeated_negative_value_keeps_it_as_its_minimum()
    {
        float[] values = [.. Enumerable.Repeat(-63f, 256)];
        RoundTrip(GgmlType.Q4_K, values).ShouldBe(values);
    }

    [Fact]
    public void Half_precision_types_round_half_to_even()
    {
        // 1 + 2^-11 and 1 + 2^-8 lie half way between neighbours.
        RoundTrip(GgmlType.F16, [1 + 1 / 2048f, 1 + 3 / 2048f]).ShouldBe([1, 1 + 2 / 1024f]);
        RoundTrip(GgmlType.BF16, [1 + 1 / 256f, 1 + 3 / 256f]).ShouldBe([1, 1 + 2 / 128f]);
        Should.Throw<ArgumentException>(() => RoundTrip(GgmlType.F16, [65_520]));
    }

    [Fact]
    public void Parts_of_blocks_are_refused() =>
        Should.Throw<ArgumentException>(() => GgmlBlocks.Encode(GgmlType.Q4_0, new float[33], new byte[36])).Message.ShouldContain("no whole blocks of Q4_0");

    private static GgmlType TypeOf(string name) => GgmlType.All.Single(type => type.Name == name);

    private static float[] RoundTrip(GgmlType type, float[] values)
    {
        byte[] blocks = new byte[values.Length / type.BlockElements * type.BlockBytes];
        GgmlBlocks.Encode(type, values, blocks);
        float[] restored = new float[values.Length];
        GgmlBlocks.Decode(type, blocks, restored);
        return restored;
    }
}
