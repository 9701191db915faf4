using System.Globalization;
using System.Runtime.InteropServices;
using PipelineDsl.Runtime.Formats.Gguf;
using PipelineDsl.Runtime.Formats.Packing;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>The bytes of foreign layouts: checks 2, 4, 6 and 7 of the page on quantisation baselines.</summary>
[Trait("Category", "Golden")]
public sealed class QuantizedFormatsGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("quant-baselines");

    [Fact]
    public void Gptq_words_equal_the_reference_and_unpack_to_its_codes()
    {
        int compared = 0;
        foreach (string prefix in golden.Variants("out.gptq.").Select(variant => $"out.gptq.{variant}.").Where(prefix => golden.Has(prefix + "qweight")))
        {
            var codes = golden[prefix + "codes"];
            var zeros = golden[prefix + "zeros"];
            var (outputs, inputs, groups) = ((int)codes.shape[0], (int)codes.shape[1], (int)zeros.shape[1]);
            int bits = (int)golden[prefix + "qweight"].shape[0] * 32 / inputs;
            int[] qweight = Data<int>(prefix + "qweight");
            int[] qzeros = Data<int>(prefix + "qzeros");

            GptqPacking.PackWeights(Data<byte>(prefix + "codes"), outputs, inputs, bits).ShouldBe(qweight, prefix);
            GptqPacking.UnpackWeights(qweight, outputs, inputs, bits).ShouldBe(Data<byte>(prefix + "codes"), prefix);
            GptqPacking.PackZeros(Data<byte>(prefix + "zeros"), outputs, groups, bits, GptqVersion.V1).ShouldBe(qzeros, prefix);
            GptqPacking.UnpackZeros(qzeros, outputs, groups, bits, GptqVersion.V1).ShouldBe(Data<byte>(prefix + "zeros"), prefix);
            compared++;
        }

        compared.ShouldBeGreaterThan(0);
    }

    [Fact]
    public void Gptq_words_and_float16_scales_stand_for_the_weights_of_the_solver()
    {
        foreach (string prefix in golden.Variants("out.gptq.").Select(variant => $"out.gptq.{variant}.").Where(prefix => golden.Has(prefix + "qweight")))
        {
            var codes = golden[prefix + "codes"];
            var (outputs, inputs) = ((int)codes.shape[0], (int)codes.shape[1]);
            int groups = (int)golden[prefix + "zeros"].shape[1];
            int bits = (int)golden[prefix + "qweight"].shape[0] * 32 / inputs;
            var groupOf = golden[prefix + "g_idx"].to(int64);
            Tensor Weights(Tensor q, Tensor scales, Tensor zeros) => scales.index_select(1, groupOf) * (q.to(float64) - zeros.to(float64).index_select(1, groupOf));

            var unpacked = tensor(GptqPacking.UnpackWeights(Data<int>(prefix + "qweight"), outputs, inputs, bits)).reshape(outputs, inputs);
            var zeros = tensor(GptqPacking.UnpackZeros(Data<int>(prefix + "qzeros"), outputs, groups, bits, GptqVersion.V1)).reshape(outputs, groups);
            var stored = Weights(unpacked, golden[prefix + "scales_fp16"].to(float64).mT, zeros);
            stored.ShouldBeNear(Weights(codes, golden[prefix + "scales"], golden[prefix + "zeros"]), Math.Pow(2, -11));
        }
    }

    [Fact]
    public void Three_bit_words_are_an_unbroken_stream()
    {
        var codes = golden["in.pack3.codes_k_by_n"];
        var (inputs, outputs) = ((int)codes.shape[0], (int)codes.shape[1]);
        int bits = (int)golden["out.pack3.qweight"].shape[0] * 32 / inputs;
        byte[] rows = codes.mT.contiguous().bytes.ToArray();

        GptqPacking.PackWeights(rows, outputs, inputs, bits).ShouldBe(Data<int>("out.pack3.qweight"));
        GptqPacking.UnpackWeights(Data<int>("out.pack3.qweight"), outputs, inputs, bits).ShouldBe(rows);
    }

    [Fact]
    public void Compressed_tensors_words_equal_the_reference_and_unpack_to_its_codes()
    {
        int[] shape = Data<int>("out.ct.weight_shape");
        int[] words = Data<int>("out.ct.weight_packed");
        var fitting = golden.Variants("out.rtn.")
            .Select(bits => int.Parse(bits[1..], CultureInfo.InvariantCulture))
            .Where(bits => words.Length == shape[0] * CompressedTensorsPacking.Words(shape[1], bits))
            .Where(bits => Data<sbyte>($"out.rtn.b{bits}.sym.codes").SequenceEqual(CompressedTensorsPacking.UnpackWeights(words, shape[0], shape[1], bits)))
            .ToList();

        int bits = fitting.ShouldHaveSingleItem();
        CompressedTensorsPacking.PackWeights(Data<sbyte>($"out.rtn.b{bits}.sym.codes"), shape[0], shape[1], bits).ShouldBe(words);
        Compare.SameBits(golden[$"out.rtn.b{bits}.sym.scale"].to(float16), golden["out.ct.weight_scale_f16"]).ShouldBeTrue();
    }

    [Fact]
    public void NormalFloat_bytes_equal_the_reference_and_stand_for_its_values()
    {
        float[] table = Data<float>("out.nf4.table");
        float[] scales = Data<float>("out.nf4.absmax");
        float[] values = Data<float>("in.nf4.flat");
        int block = values.Length / scales.Length;
        byte[] codes = [.. values.Select((value, i) => (byte)Enumerable.Range(0, table.Length - 1).Count(k => (table[k] + table[k + 1]) / 2 < value / scales[i / block]))];

        NibblePairs.Pack(codes).ShouldBe(Data<byte>("out.nf4.packed"));
        NibblePairs.Unpack(Data<byte>("out.nf4.packed"), values.Length).ShouldBe(codes);
        codes.Select((code, i) => table[code] * scales[i / block]).ShouldBe(Data<float>("out.nf4.dequant"));
    }

    [Fact]
    public void Gguf_blocks_decode_to_the_reference_exactly()
    {
        foreach (var (prefix, type) in Blocks())
        {
            float[] expected = Data<float>(prefix + "dequant");
            float[] values = new float[expected.Length];
            GgmlBlocks.Decode(type, Data<byte>(prefix + "bytes"), values);
            values.ShouldBe(expected, prefix);
        }
    }

    [Fact]
    public void Gguf_blocks_encode_to_the_bytes_of_the_reference()
    {
        foreach (var (prefix, type) in Blocks())
        {
            byte[] expected = Data<byte>(prefix + "bytes");
            byte[] blocks = new byte[expected.Length];
            GgmlBlocks.Encode(type, Data<float>("in.gguf.x"), blocks);
            blocks.ShouldBe(expected, prefix);
        }
    }

    private IEnumerable<(string Prefix, GgmlType Type)> Blocks()
    {
        var types = golden.Variants("out.gguf.");
        types.ShouldNotBeEmpty();
        return types.Select(name => ($"out.gguf.{name}.", GgmlType.All.Single(type => type.Name.Equals(name, StringComparison.OrdinalIgnoreCase))));
    }

    private T[] Data<T>(string name)
        where T : unmanaged
    {
        using var stored = golden[name];
        stored.element_size().ShouldBe(Marshal.SizeOf<T>(), name);
        return MemoryMarshal.Cast<byte, T>(stored.bytes).ToArray();
    }
}
