using System.Text;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Formats.Gguf;

namespace PipelineDsl.Runtime.Tests.Formats.Gguf;

/// <summary>The rules GF1 to GF14: what is refused, and with which words.</summary>
public sealed class RefusedGgufTests
{
    [Theory]
    [InlineData("FUGG", "does not start with 'GGUF'")]
    [InlineData("", "does not start with 'GGUF'")]
    [InlineData("version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer")]
    [InlineData("<!DOCTYPE html>", "web page")]
    public void GF1_another_start_is_named(string start, string reason) => Refusal(Encoding.UTF8.GetBytes(start)).ShouldContain(reason);

    [Theory]
    [InlineData(0x03000000u, "big-endian")]
    [InlineData(1u, "its version is 1; 2 and 3 are read")]
    [InlineData(4u, "its version is 4")]
    public void GF1_and_GF2_another_order_of_bytes_or_version_is_named(uint version, string reason) =>
        Refusal(new RawGguf(version, 0, 0).ToArray()).ShouldContain(reason);

    [Fact]
    public void Version_2_is_read() => GgufHeader.Parse(new MemoryStream(new RawGguf(2, 0, 0).ToArray())).Tensors.ShouldBeEmpty();

    [Theory]
    [InlineData(ulong.MaxValue)]
    [InlineData(1ul << 62)]
    [InlineData(1000ul)]
    public void GF3_and_GF4_counts_and_lengths_beyond_the_file_allocate_nothing(ulong many)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        Refusal(new RawGguf(3, many, 0).ToArray()).ShouldContain($"{many} tensors run past the end");
        Refusal(new RawGguf(3, 0, many).ToArray()).ShouldContain($"{many} values run past the end");
        Refusal(new RawGguf(3, 0, 1).Number(many).Number(0ul).ToArray()).ShouldContain($"a key of {many} bytes run past the end");
        Refusal(new RawGguf(3, 0, 1).Text("k").Number(8u).Number(many).ToArray()).ShouldContain($"'k' of {many} bytes run past the end");
        Refusal(new RawGguf(3, 0, 1).Text("k").Number(9u).Number(6u).Number(many).ToArray()).ShouldContain($"{many} items of 'k' run past the end");
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBeLessThan(1_000_000);
    }

    [Fact]
    public void GF5_and_GF6_names_stand_once()
    {
        Refusal(new RawGguf(3, 0, 2).Value("k", 1).Value("k", 2).ToArray()).ShouldContain("duplicate key 'k'");
        Refusal(new RawGguf(3, 2, 0).Tensor("t", 0, 0, 1).Tensor("t", 0, 32, 1).Data(64)).ShouldContain("two tensors are named 't'");
    }

    [Fact]
    public void GF7_and_GF8_names_and_dimensions_have_limits()
    {
        Refusal(new RawGguf(3, 1, 0).Tensor(new('n', 64), 0, 0, 1).Data(32)).ShouldContain("has 64 bytes; 63 are possible");
        Refusal(new RawGguf(3, 1, 0).Tensor("", 0, 0, 1).Data(32)).ShouldContain("has 0 bytes");
        Refusal(new RawGguf(3, 1, 0).Tensor("t", 0, 0, 1, 1, 1, 1, 1).Data(32)).ShouldContain("has 5 dimensions; 4 are possible");
        Refusal(new RawGguf(3, 1, 0).Tensor("t", 0, 0, 4, 0).Data(32)).ShouldContain("dimension 0 of tensor 't'");
        Refusal(new RawGguf(3, 1, 0).Tensor("t", 0, 0, 1ul << 63).Data(32)).ShouldContain("over 63 bits");
        Refusal(new RawGguf(3, 1, 0).Tensor("t", 0, 0, 1ul << 40, 1ul << 40).Data(32)).ShouldContain("overflows 63 bits");
        Refusal(new RawGguf(3, 1, 0).Tensor("t", 0, 0, 1ul << 62, 1ul << 62, 1ul << 62, 1ul << 62).Data(32)).ShouldContain("overflows 63 bits");
    }

    [Theory]
    [InlineData(4u)]
    [InlineData(31u)]
    [InlineData(38u)]
    [InlineData(uint.MaxValue)]
    public void GF9_types_that_are_unknown_or_removed_are_named(uint type) =>
        Refusal(new RawGguf(3, 1, 0).Tensor("t", type, 0, 32).Data(32)).ShouldContain($"tensor 't' has the unknown or removed type {type}");

    [Fact]
    public void GF10_rows_are_whole_blocks() =>
        Refusal(new RawGguf(3, 1, 0).Tensor("t", 2, 0, 48, 2).Data(64)).ShouldContain("rows of 48 values of tensor 't' are no whole blocks of 32 (Q4_0)");

    [Fact]
    public void GF11_tensors_follow_each_other()
    {
        Refusal(new RawGguf(3, 1, 0).Tensor("t", 0, 32, 1).Data(64)).ShouldContain("tensor 't' begins at 32 where 0 is expected: there is a hole");
        Refusal(new RawGguf(3, 2, 0).Tensor("t", 0, 0, 16).Tensor("u", 0, 32, 1).Data(96)).ShouldContain("tensor 'u' begins at 32 where 64 is expected: it overlaps");
        Refusal(new RawGguf(3, 2, 0).Tensor("t", 0, 0, 1).Tensor("u", 0, 4, 1).Data(64)).ShouldContain("tensor 'u' begins at 4 where 32 is expected: it is not aligned");
        Refusal(new RawGguf(3, 1, 0).Tensor("t", 0, 0, 9).Data(32)).ShouldContain("it was cut short");
        Refusal(new RawGguf(3, 1, 0).Tensor("t", 0, 0, 1).Data(33)).ShouldContain("there are trailing bytes");
    }

    [Fact]
    public void The_padding_of_the_last_tensor_may_be_missing() =>
        GgufHeader.Parse(new MemoryStream(new RawGguf(3, 1, 0).Tensor("t", 0, 0, 3).Data(12))).Tensors.Single().ByteCount.ShouldBe(12);

    [Theory]
    [InlineData(0u)]
    [InlineData(4u)]
    [InlineData(24u)]
    public void GF12_an_alignment_is_a_power_of_two_from_8_up(uint alignment) =>
        Refusal(new RawGguf(3, 0, 1).Text("general.alignment").Number(4u).Number(alignment).ToArray()).ShouldContain($"'general.alignment' is {alignment}, no power of two");

    [Fact]
    public void GF12_an_alignment_is_an_unsigned_number() =>
        Refusal(new RawGguf(3, 0, 1).Text("general.alignment").Number(8u).Text("32").ToArray()).ShouldContain("'general.alignment' is 32, no power of two");

    [Fact]
    public void GF13_a_truth_value_is_0_or_1() =>
        Refusal(new RawGguf(3, 0, 1).Text("k").Number(7u).Bytes(2).ToArray()).ShouldContain("'k' holds the byte 2 where 0 or 1 is needed");

    [Fact]
    public void GF14_arrays_do_not_nest_without_end()
    {
        var file = new RawGguf(3, 0, 1).Text("k").Number(9u);
        for (int depth = 0; depth < 100; depth++)
        {
            file = file.Number(9u).Number(1ul);
        }

        Refusal(file.Number(0u).Number(100ul).Bytes(new byte[100]).ToArray()).ShouldContain("'k' nests arrays more than 4 deep");
    }

    [Fact]
    public void Unknown_value_types_and_text_that_is_no_UTF8_are_refused()
    {
        Refusal(new RawGguf(3, 0, 1).Text("k").Number(13u).Number(0ul).ToArray()).ShouldContain("'k' has the unknown type 13");
        Refusal(new RawGguf(3, 0, 1).Number(1ul).Bytes(0xFF).Number(4u).Number(1u).ToArray()).ShouldContain("invalid UTF-8 in a key");
    }

    [Fact]
    public void A_missing_file_and_a_folder_get_their_own_codes()
    {
        using var folder = new TemporaryFolder();
        Should.Throw<PipelineException>(() => GgufFile.Open(folder.File("none"))).Diagnostic.Id.ShouldBe(DiagnosticIds.MissingFile);
        Should.Throw<PipelineException>(() => GgufFile.Open(folder.Path)).Diagnostic.Id.ShouldBe(DiagnosticIds.FileFailed);
    }

    [Fact]
    public void A_mutated_file_is_read_or_refused_but_never_fails_otherwise()
    {
        byte[] original = new RawGguf(3, 2, 3)
            .Value("general.alignment", 32).Text("words").Number(9u).Number(8u).Number(2ul).Text("a").Text("bc").Text("flag").Number(7u).Bytes(1)
            .Tensor("t", 2, 0, 32, 2).Tensor("u", 0, 64, 3).Data(96);
        GgufHeader.Parse(new MemoryStream(original)).Tensors.Count.ShouldBe(2);
        var random = new Random(11);
        int refused = 0;
        for (int i = 0; i < 5_000; i++)
        {
            byte[] bytes = [.. original];
            for (int changes = random.Next(1, 4); changes > 0; changes--)
            {
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            }

            try
            {
                GgufHeader.Parse(new MemoryStream(bytes, 0, random.Next(4) == 0 ? random.Next(bytes.Length) : bytes.Length));
            }
            catch (HeaderException)
            {
                refused++;
            }
        }

        refused.ShouldBeInRange(1_000, 4_999);
    }

    private static string Refusal(byte[] content)
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("model.gguf", content);
        var failure = Should.Throw<PipelineException>(() => GgufFile.Open(path));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.BrokenWeights);
        failure.Diagnostic.Span.Path.ShouldBe(path);
        return failure.Message;
    }
}
