using System.Text;
using PipelineDsl.Runtime.Formats.Packing;

namespace PipelineDsl.Runtime.Tests.Formats.Packing;

public sealed class PackingTests
{
    private readonly Random random = new(7);

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(8)]
    public void Gptq_words_give_back_every_code_and_zero_point(int bits)
    {
        var (outputs, inputs, groups) = (32, 64, 3);
        byte[] codes = Codes(outputs * inputs, bits);
        byte[] zeros = [.. Codes(outputs * groups, bits).Select(zero => Math.Max((byte)1, zero))];

        int[] words = GptqPacking.PackWeights(codes, outputs, inputs, bits);
        words.Length.ShouldBe(inputs * bits / 32 * outputs);
        GptqPacking.UnpackWeights(words, outputs, inputs, bits).ShouldBe(codes);
        foreach (var version in Enum.GetValues<GptqVersion>())
        {
            int[] packed = GptqPacking.PackZeros(zeros, outputs, groups, bits, version);
            packed.Length.ShouldBe(groups * outputs * bits / 32);
            GptqPacking.UnpackZeros(packed, outputs, groups, bits, version).ShouldBe(zeros);
        }
    }

    [Fact]
    public void Gptq_stores_a_symmetric_zero_point_less_one_in_version_1_and_as_it_is_in_version_2()
    {
        byte[] zeros = [.. Enumerable.Repeat((byte)8, 16)];
        GptqPacking.PackZeros(zeros, 16, 1, 4, GptqVersion.V1).ShouldAllBe(word => word == 0x77777777);
        GptqPacking.PackZeros(zeros, 16, 1, 4, GptqVersion.V2).ShouldAllBe(word => word == unchecked((int)0x88888888));
    }

    [Fact]
    public void A_zero_point_of_zero_is_refused_in_version_1_and_stored_in_version_2()
    {
        byte[] zeros = [3, 0, 5, 15, 1, 2, 3, 4];
        Should.Throw<ArgumentException>(() => GptqPacking.PackZeros(zeros, 8, 1, 4, GptqVersion.V1)).Message.ShouldContain("the zero point at 1 is 0");
        GptqPacking.UnpackZeros(GptqPacking.PackZeros(zeros, 8, 1, 4, GptqVersion.V2), 8, 1, 4, GptqVersion.V2).ShouldBe(zeros);
    }

    [Fact]
    public void All_ones_in_version_1_are_read_as_a_zero_point_of_zero() =>
        GptqPacking.UnpackZeros([unchecked((int)0xFFFFFFF0)], 8, 1, 4, GptqVersion.V1).ShouldBe([1, 0, 0, 0, 0, 0, 0, 0]);

    [Theory]
    [InlineData(32, 24, 4, true)]
    [InlineData(32, 20, 4, false)]
    [InlineData(32, 16, 3, false)]
    [InlineData(32, 32, 5, false)]
    public void Gptq_refuses_what_does_not_fill_whole_words(int outputs, int inputs, int bits, bool fits)
    {
        byte[] codes = new byte[outputs * inputs];
        if (fits)
        {
            GptqPacking.PackWeights(codes, outputs, inputs, bits).ShouldAllBe(word => word == 0);
        }
        else
        {
            Should.Throw<ArgumentException>(() => GptqPacking.PackWeights(codes, outputs, inputs, bits));
        }
    }

    [Fact]
    public void Codes_that_would_spill_into_their_neighbours_are_refused()
    {
        byte[] codes = new byte[32 * 8];
        codes[11] = 16;
        Should.Throw<ArgumentException>(() => GptqPacking.PackWeights(codes, 32, 8, 4)).Message.ShouldContain("code 16 at 11 does not fit 4 bits");
        Should.Throw<ArgumentException>(() => AwqPacking.Pack(codes, 32, 8));
        Should.Throw<ArgumentException>(() => NibblePairs.Pack(codes));
        Should.Throw<ArgumentException>(() => CompressedTensorsPacking.PackWeights([4], 1, 1, 3)).Message.ShouldContain("code 4 at 0 does not fit 3 bits");
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(8)]
    public void Compressed_tensors_words_give_back_every_code_and_zero_point(int bits)
    {
        var (outputs, inputs) = (7, 23);
        sbyte[] codes = [.. Codes(outputs * inputs, bits).Select(code => (sbyte)(code - (1 << (bits - 1))))];

        int[] words = CompressedTensorsPacking.PackWeights(codes, outputs, inputs, bits);
        words.Length.ShouldBe(outputs * CompressedTensorsPacking.Words(inputs, bits));
        CompressedTensorsPacking.UnpackWeights(words, outputs, inputs, bits).ShouldBe(codes);
        CompressedTensorsPacking.UnpackZeros(CompressedTensorsPacking.PackZeros(codes, outputs, inputs, bits), outputs, inputs, bits).ShouldBe(codes);
    }

    [Fact]
    public void Three_bit_compressed_tensors_words_hold_ten_codes_and_leave_two_bits_empty()
    {
        sbyte[] codes = [.. Enumerable.Repeat((sbyte)3, 11)];
        CompressedTensorsPacking.PackWeights(codes, 1, 11, 3).ShouldBe([0x3FFFFFFF, 7]);
    }

    [Fact]
    public void Compressed_tensors_zero_points_are_packed_along_outputs()
    {
        sbyte[] zeros = [-8, 7, -7, 6];
        CompressedTensorsPacking.PackZeros(zeros, 2, 2, 4).ShouldBe([0x10, 0xEF]);
    }

    [Fact]
    public void Awq_words_hold_outputs_in_their_order()
    {
        byte[] codes = [.. Enumerable.Range(0, 8).Select(code => (byte)code)];
        AwqPacking.Pack(codes, 8, 1).ShouldBe([0x75316420]);
        AwqPacking.Unpack([0x75316420], 8, 1).ShouldBe(codes);
    }

    [Fact]
    public void Awq_words_give_back_every_code()
    {
        byte[] codes = Codes(24 * 5, 4);
        int[] words = AwqPacking.Pack(codes, 24, 5);
        words.Length.ShouldBe(5 * 3);
        AwqPacking.Unpack(words, 24, 5).ShouldBe(codes);
        Should.Throw<ArgumentException>(() => AwqPacking.Pack(codes, 12, 10));
    }

    [Theory]
    [InlineData(6)]
    [InlineData(7)]
    public void The_first_of_two_nibbles_is_the_high_one(int count)
    {
        byte[] codes = [1, 2, 3, 4, 5, 6, 7];
        byte[] packed = NibblePairs.Pack(codes.AsSpan(0, count));
        packed[0].ShouldBe((byte)0x12);
        packed.Length.ShouldBe((count + 1) / 2);
        NibblePairs.Unpack(packed, count).ShouldBe(codes[..count]);
    }

    [Fact]
    public void A_quantisation_state_is_the_text_that_bitsandbytes_reads()
    {
        var state = new QuantState("nf4", 64, "bfloat16", [48, 32], new(256, "float32", 0.1f));
        byte[] text = state.Write();

        Encoding.UTF8.GetString(text).ShouldBe(
            """{"quant_type":"nf4","blocksize":64,"dtype":"bfloat16","shape":[48,32],"nested_blocksize":256,"nested_dtype":"float32","nested_offset":0.10000000149011612}""");
        var read = QuantState.Read(text);
        read.Nested.ShouldBe(state.Nested);
        read.Shape.ShouldBe(state.Shape);
        (read with { Shape = state.Shape }).ShouldBe(state);
        QuantState.Read((state with { Nested = null }).Write()).Nested.ShouldBeNull();
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{\"quant_type\":\"nf4\"}")]
    [InlineData("{\"quant_type\":\"nf4\",\"blocksize\":0,\"dtype\":\"float16\",\"shape\":[1,2]}")]
    [InlineData("{\"quant_type\":\"nf4\",\"blocksize\":64,\"dtype\":\"float16\",\"shape\":[1,-2]}")]
    [InlineData("{\"quant_type\":\"nf4\",\"blocksize\":64,\"blocksize\":32,\"dtype\":\"float16\",\"shape\":[1,2]}")]
    public void A_damaged_quantisation_state_is_refused(string text) =>
        Should.Throw<InvalidDataException>(() => QuantState.Read(Encoding.UTF8.GetBytes(text)));

    private byte[] Codes(int count, int bits) => [.. Enumerable.Range(0, count).Select(_ => (byte)random.Next(1 << bits))];
}
