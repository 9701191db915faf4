using System.Buffers.Binary;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats.Gguf;

namespace PipelineDsl.Runtime.Tests.Formats.Gguf;

public sealed class GgufFileTests : IDisposable
{
    private static readonly List<KeyValuePair<string, GgufValue>> EveryType =
    [
        new("general.architecture", "llama"),
        new("a.u8", new(GgufValueType.UInt8, (byte)200)),
        new("a.i8", new(GgufValueType.Int8, (sbyte)-100)),
        new("a.u16", new(GgufValueType.UInt16, (ushort)60_000)),
        new("a.i16", new(GgufValueType.Int16, (short)-30_000)),
        new("a.u32", 4_000_000_000u),
        new("a.i32", new(GgufValueType.Int32, -2_000_000_000)),
        new("a.f32", 1.5e-5f),
        new("a.bool", true),
        new("a.string", "▁Größe"),
        new("a.u64", new(GgufValueType.UInt64, ulong.MaxValue)),
        new("a.i64", new(GgufValueType.Int64, long.MinValue)),
        new("a.f64", new(GgufValueType.Float64, Math.PI)),
        new("b.strings", new[] { "one", "", "three" }),
        new("b.numbers", new[] { 1, -2, 3 }),
        new("b.truths", GgufValue.Of(GgufValueType.Bool, new[] { true, false, true })),
        new("b.nothing", GgufValue.Of(GgufValueType.Float64, Array.Empty<double>())),
        new("b.nested", GgufValue.Of(GgufValueType.Array, new[] { new GgufArray(GgufValueType.UInt8, new byte[] { 1, 2 }), new GgufArray(GgufValueType.String, new[] { "x" }) })),
    ];

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Values_of_every_type_come_back()
    {
        using var file = WriteAndOpen(EveryType, []);
        file.Values.Keys.ShouldBe(EveryType.Select(entry => entry.Key));
        foreach (var (key, value) in EveryType)
        {
            file.Values[key].Type.ShouldBe(value.Type, key);
            Flat(file.Values[key].Content).ShouldBe(Flat(value.Content), key);
        }
    }

    [Theory]
    [InlineData(null)]
    [InlineData(64u)]
    public void Tensors_are_aligned_and_come_back(uint? alignment)
    {
        float[] first = [1, -2, 3.5f];
        float[] second = [.. Enumerable.Range(0, 64).Select(i => i / 8f - 4)];
        using var file = WriteAndOpen(
            alignment is { } asked ? [new("general.alignment", asked)] : [],
            [Tensor("first", GgmlType.F32, [3], first), Tensor("second.weight", GgmlType.Q8_0, [32, 2], second), Tensor("third", GgmlType.BF16, [4, 4, 4], second)]);

        file.Tensors.Select(tensor => tensor.Name).ShouldBe(["first", "second.weight", "third"]);
        file.Tensors.ShouldAllBe(tensor => tensor.Offset % (alignment ?? 32) == 0);
        file.Info("second.weight").Dimensions.ShouldBe([32, 2]);
        file.Info("second.weight").ByteCount.ShouldBe(68);
        file.ReadValues("first").ShouldBe(first);
        file.ReadValues("third").ShouldBe(second);
        file.ReadValues("second.weight").ShouldBe(second, 4.0f / 127 / 2 + 2e-3);
        (new FileInfo(file.Path).Length % (alignment ?? 32)).ShouldBe(0);
    }

    [Fact]
    public void The_layout_is_the_stated_one_byte_by_byte()
    {
        string path = folder.File("a.gguf");
        GgufWriter.Write(path, [new("k", 7u)], [Tensor("t", GgmlType.F32, [2, 1], [1, 2])]);
        byte[] bytes = File.ReadAllBytes(path);

        var expected = new List<byte>();
        expected.AddRange("GGUF"u8);
        expected.AddRange(Numbers(3u));
        expected.AddRange(Numbers(1ul, 1ul));
        expected.AddRange([.. Numbers(1ul), (byte)'k', .. Numbers(4u), .. Numbers(7u)]);
        expected.AddRange([.. Numbers(1ul), (byte)'t', .. Numbers(2u), .. Numbers(2ul, 1ul), .. Numbers(0u), .. Numbers(0ul)]);
        expected.AddRange(new byte[96 - expected.Count]);
        expected.AddRange([0, 0, 0x80, 0x3F, 0, 0, 0, 0x40]);
        expected.AddRange(new byte[24]);
        bytes.ShouldBe(expected);
    }

    [Fact]
    public void The_same_content_gives_the_same_bytes()
    {
        foreach (string name in new[] { "a", "b" })
        {
            GgufWriter.Write(folder.File(name), EveryType, [Tensor("t", GgmlType.F16, [5], [1, 2, 3, 4, 5])]);
        }

        File.ReadAllBytes(folder.File("a")).ShouldBe(File.ReadAllBytes(folder.File("b")));
    }

    [Fact]
    public void What_no_reader_would_take_is_not_written()
    {
        var value = new KeyValuePair<string, GgufValue>("k", 1u);
        var tensor = Tensor("t", GgmlType.F32, [1], [0]);
        void Refused(IReadOnlyList<KeyValuePair<string, GgufValue>> values, params GgufPendingTensor[] tensors) =>
            Should.Throw<ArgumentException>(() => GgufWriter.Write(folder.File("never"), values, tensors));

        Refused([value, value]);
        Refused([new("k", new(GgufValueType.UInt64, 1u))]);
        Refused([new("general.alignment", 24u)]);
        Refused([value], tensor, tensor);
        Refused([value], tensor with { Name = new('x', 64) });
        Refused([value], tensor with { Dimensions = [0] });
        Refused([value], tensor with { Dimensions = [1, 1, 1, 1, 1] });
        Refused([value], tensor with { Type = GgmlType.Q4_0, Dimensions = [48] });
        Should.Throw<InvalidOperationException>(() => GgufWriter.Write(folder.File("never"), [value], [tensor with { Dimensions = [2] }])).Message.ShouldContain("announced with 8 bytes but wrote 4");
        Directory.GetFiles(folder.Path).ShouldBeEmpty();
    }

    [Fact]
    public void A_tensor_whose_type_has_no_decoder_can_still_be_read_as_bytes()
    {
        var type = GgmlType.All.Single(known => known.Name == "Q5_0");
        using var file = WriteAndOpen([], [new("t", type, [32], stream => stream.Write(new byte[22]))]);
        file.ReadBytes("t", 0, new byte[22]);
        Should.Throw<PipelineException>(() => file.ReadValues("t")).Message.ShouldContain("Q5_0, which is not decoded");
        Should.Throw<PipelineException>(() => file.Info("u")).Message.ShouldContain("holds no tensor 'u'");
    }

    internal static GgufPendingTensor Tensor(string name, GgmlType type, long[] dimensions, float[] values) => new(name, type, dimensions, stream =>
    {
        byte[] bytes = new byte[values.Length / type.BlockElements * type.BlockBytes];
        GgmlBlocks.Encode(type, values, bytes);
        stream.Write(bytes);
    });

    private GgufFile WriteAndOpen(IReadOnlyList<KeyValuePair<string, GgufValue>> values, IReadOnlyList<GgufPendingTensor> tensors)
    {
        string path = folder.File("file.gguf");
        GgufWriter.Write(path, values, tensors);
        return GgufFile.Open(path);
    }

    private static List<object> Flat(object content) => content is GgufArray array ? [array.ItemType, .. array.Items.Cast<object>().SelectMany(Flat)] : [content];

    private static byte[] Numbers(uint value)
    {
        byte[] bytes = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return bytes;
    }

    private static byte[] Numbers(params ulong[] values) => [.. values.SelectMany(BitConverter.GetBytes)];
}
