using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats.Safetensors;

using static PipelineDsl.Runtime.Tests.Formats.Safetensors.RawSafetensors;

namespace PipelineDsl.Runtime.Tests.Formats.Safetensors;

public sealed class RefusedSafetensorsTests
{
    [Theory]
    [InlineData("ST5", "{", 0, "invalid JSON in the header at line 1, byte 2")]
    [InlineData("ST5", "[]", 0, "no object")]
    [InlineData("ST5", "null", 0, "no object")]
    [InlineData("ST5", "{} x", 0, "invalid JSON")]
    [InlineData("ST5", "{}{}", 0, "invalid JSON")]
    [InlineData("ST5", "", 0, "invalid JSON")]
    [InlineData("ST5", "{\"a\":[[[[[[[[[[[[[1]]]]]]]]]]]]]}", 0, "tensor 'a' must be an object")]
    [InlineData("ST6", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "duplicate key 'a'")]
    [InlineData("ST6", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "duplicate key 'shape' in tensor 'a'")]
    [InlineData("ST6", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"\\u0061\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "duplicate key 'a'")]
    [InlineData("ST7", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "lacks the field 'dtype'")]
    [InlineData("ST7", "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "lacks the field 'shape'")]
    [InlineData("ST7", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "lacks the field 'data_offsets'")]
    [InlineData("ST7", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"strides\":[1]}}", 1, "'strides'")]
    [InlineData("ST7", "{\"a\":{\"dtype\":\"U8\",\"shape\":\"1\",\"data_offsets\":[0,1]}}", 1, "'shape' of tensor 'a' must be an array")]
    [InlineData("ST7", "{\"a\":{\"dtype\":\"U8\",\"shape\":[\"1\"],\"data_offsets\":[0,1]}}", 1, "'shape' of tensor 'a' must hold integers")]
    [InlineData("ST7", "{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1, "holds '-1'")]
    [InlineData("ST7", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1.0],\"data_offsets\":[0,1]}}", 1, "holds '1.0'")]
    [InlineData("ST7", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1e0],\"data_offsets\":[0,1]}}", 1, "holds '1e0'")]
    [InlineData("ST7", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,9223372036854775809]}}", 1, "'data_offsets' of tensor 'a': 9223372036854775809")]
    [InlineData("ST7", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 1, "must hold 2 numbers, but holds 3")]
    [InlineData("ST8", "{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "unknown dtype 'F33'; known are BOOL, U8")]
    [InlineData("ST9", "{\"a\":{\"dtype\":\"U8\",\"shape\":[2,18446744073709551614],\"data_offsets\":[0,1]}}", 1, "overflow in 'shape' of tensor 'a': 18446744073709551614")]
    [InlineData("ST9", "{\"a\":{\"dtype\":\"U8\",\"shape\":[2,9223372036854775807],\"data_offsets\":[0,1]}}", 1, "overflow in the shape [2, 9223372036854775807]")]
    [InlineData("ST9", "{\"a\":{\"dtype\":\"F64\",\"shape\":[4611686018427387904],\"data_offsets\":[0,1]}}", 1, "overflow in the shape")]
    [InlineData("ST10", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "needs 8 bytes, but 'data_offsets' [0, 4] hold 4")]
    [InlineData("ST10", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "hold -8")]
    [InlineData("ST11", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2, "tensor 'a' begins at 1 where 0 is expected: there is a hole")]
    [InlineData("ST11", "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}", 3, "tensor 'b' begins at 1 where 2 is expected: it overlaps")]
    [InlineData("ST12", "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 3, "take 2 bytes but the file holds 3 after the header: there are trailing bytes")]
    [InlineData("ST12", "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 1, "it was cut short")]
    [InlineData("ST12", "{}", 1, "trailing bytes")]
    [InlineData("ST13", "{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2, "misaligned")]
    [InlineData("ST14", "{\"__metadata__\":{\"step\":1}}", 0, "the value of 'step' in '__metadata__' must be a string")]
    [InlineData("ST14", "{\"__metadata__\":[]}", 0, "'__metadata__' must be an object")]
    [InlineData("ST4", "{\"\\ud800\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "half a surrogate pair")]
    public void A_broken_header_is_refused_with_its_reason(string rule, string header, int dataBytes, string reason)
    {
        rule.ShouldStartWith("ST");
        Refusal(Of(header, dataBytes)).ShouldContain(reason);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    public void ST1_a_file_without_room_for_a_header_is_refused(int bytes) =>
        Refusal(new byte[bytes]).ShouldContain($"too short for a header: {bytes} bytes");

    [Fact]
    public void ST2_a_header_size_over_the_limit_is_refused_before_it_is_allocated()
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        Refusal(Of("{}"u8.ToArray(), 0xFFFFFF000000003C, 0)).ShouldContain($"the header size {0xFFFFFF000000003C} is over the limit of 100000000");
        Refusal(Of("{}"u8.ToArray(), 100_000_001, 0)).ShouldContain("over the limit");
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBeLessThan(1_000_000);
    }

    [Theory]
    [InlineData(3ul)]
    [InlineData(100_000_000ul)]
    public void ST3_a_header_that_runs_past_the_end_is_refused(ulong announced) =>
        Refusal(Of("{}"u8.ToArray(), announced, 0)).ShouldContain($"the header of {announced} bytes runs past the end");

    [Fact]
    public void ST4_a_header_that_is_no_UTF8_is_refused() =>
        Refusal(Of([(byte)'{', (byte)'"', 0xFF, (byte)'"', (byte)'}'], 0)).ShouldContain("invalid UTF-8 in the header");

    [Fact]
    public void ST11_ten_tensors_on_the_same_bytes_are_refused()
    {
        var entries = Enumerable.Range(0, 10).Select(i => Entry($"t{i}", "F32", "[4]", "[0,16]"));
        Refusal(Of($"{{{string.Join(',', entries)}}}", 16)).ShouldContain("overlaps");
    }

    [Theory]
    [InlineData("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer")]
    [InlineData("PK\u0003\u0004 and so on", "ZIP archive")]
    [InlineData("<!DOCTYPE html><html></html>", "web page")]
    [InlineData("\n<html><body>404</body></html>", "web page")]
    public void ST15_what_a_failed_download_leaves_is_named(string content, string reason) =>
        Refusal(System.Text.Encoding.UTF8.GetBytes(content)).ShouldContain(reason);

    [Fact]
    public void A_missing_file_and_a_folder_get_their_own_codes()
    {
        using var folder = new TemporaryFolder();
        Should.Throw<PipelineException>(() => SafetensorsFile.Open(folder.File("none"))).Diagnostic.Id.ShouldBe(DiagnosticIds.MissingFile);
        Should.Throw<PipelineException>(() => SafetensorsFile.Open(folder.Path)).Diagnostic.Id.ShouldBe(DiagnosticIds.FileFailed);
    }

    private static string Refusal(byte[] content)
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("weights.safetensors", content);
        var failure = Should.Throw<PipelineException>(() => SafetensorsFile.Open(path));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.BrokenWeights);
        failure.Diagnostic.Span.Path.ShouldBe(path);
        failure.Message.ShouldContain(path);
        return failure.Message;
    }
}
