using System.Security.Cryptography;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats.Safetensors;

using static PipelineDsl.Runtime.Tests.Formats.Safetensors.RawSafetensors;
using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Formats.Safetensors;

public sealed class SafetensorsFileTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Fact]
    public void A_tensor_is_read_in_its_own_type_and_shape()
    {
        using var file = Open(Of($"{{{Entry("b", "I16", "[2,1]", "[4,8]")},{Entry("a", "U8", "[4]", "[0,4]")}}}", 8));

        file.Names.ShouldBe(["a", "b"]);
        var info = file.Info("b");
        info.Type.Name.ShouldBe("I16");
        info.Shape.ShouldBe([2, 1]);
        info.ByteCount.ShouldBe(4);
        using var b = file.Read("b");
        b.dtype.ShouldBe(int16);
        b.shape.ShouldBe([2, 1]);
        b.data<short>().ToArray().ShouldBe([0x0504, 0x0706]);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData(" \t\r\n{} \t\r\n")]
    [InlineData("{\"__metadata__\":{\"format\":\"pt\"}}")]
    public void A_file_without_tensors_is_accepted(string header)
    {
        using var file = Open(Of(header, 0));
        file.Names.ShouldBeEmpty();
    }

    [Fact]
    public void Scalars_and_empty_tensors_are_accepted()
    {
        using var file = Open(Of($"{{{Entry("empty", "F32", "[0,3]", "[0,0]")},{Entry("scalar", "F32", "[]", "[0,4]")},{Entry("tail", "U8", "[0]", "[4,4]")}}}", 4));

        using var empty = file.Read("empty");
        using var scalar = file.Read("scalar");
        empty.shape.ShouldBe([0, 3]);
        scalar.shape.ShouldBeEmpty();
        scalar.numel().ShouldBe(1);
    }

    [Fact]
    public void Values_that_are_no_numbers_are_read_as_they_are()
    {
        byte[] content = Of($"{{{Entry("x", "F32", "[2]", "[0,8]")}}}", 8);
        BitConverter.TryWriteBytes(content.AsSpan(^8), float.NaN);
        BitConverter.TryWriteBytes(content.AsSpan(^4), float.PositiveInfinity);
        using var file = Open(content);

        using var x = file.Read("x");

        x.data<float>().ToArray().ShouldBe([float.NaN, float.PositiveInfinity]);
    }

    [Theory]
    [InlineData("F8_E4M3", "[4]")]
    [InlineData("F6_E2M3", "[4]")]
    [InlineData("F4", "[2,4]")]
    [InlineData("U16", "[2]")]
    public void A_type_that_the_tensor_library_lacks_can_be_listed_and_hashed_but_not_read(string type, string shape)
    {
        int bytes = type == "F6_E2M3" ? 3 : 4;
        using var file = Open(Of($"{{{Entry("x", type, shape, $"[0,{bytes}]")}}}", bytes));

        file.Info("x").Type.Name.ShouldBe(type);
        file.Digest("x").Length.ShouldBe(64);
        var failure = Should.Throw<PipelineException>(() => file.Read("x"));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.BrokenWeights);
        failure.Message.ShouldContain($"tensor 'x' has dtype {type}");
    }

    [Fact]
    public void Rows_and_bytes_can_be_read_without_the_rest()
    {
        using var file = Open(Of($"{{{Entry("x", "U8", "[4,3]", "[0,12]")}}}", 12));

        using var rows = file.ReadRows("x", 1, 2);
        byte[] bytes = new byte[2];
        file.ReadBytes("x", 5, bytes);

        rows.shape.ShouldBe([2, 3]);
        rows.data<byte>().ToArray().ShouldBe([3, 4, 5, 6, 7, 8]);
        bytes.ShouldBe([5, 6]);
        Should.Throw<ArgumentOutOfRangeException>(() => file.ReadRows("x", 3, 2));
        Should.Throw<ArgumentOutOfRangeException>(() => file.ReadBytes("x", 11, new byte[2]));
    }

    [Fact]
    public void Digests_are_SHA256_of_a_tensors_bytes_and_of_the_file()
    {
        byte[] content = Of($"{{{Entry("x", "U8", "[2]", "[0,2]")},{Entry("y", "U8", "[3]", "[2,5]")}}}", 5);
        using var file = Open(content);

        file.Digest("y").ShouldBe(Convert.ToHexStringLower(SHA256.HashData([2, 3, 4])));
        file.FileDigest().ShouldBe(Convert.ToHexStringLower(SHA256.HashData(content)));
    }

    [Fact]
    public void A_name_that_is_not_there_is_an_error_with_the_name()
    {
        using var file = Open(Of("{}", 0));
        Should.Throw<PipelineException>(() => file.Read("w")).Message.ShouldContain("holds no tensor 'w'");
    }

    [Fact]
    public void A_file_that_shrinks_while_it_is_open_is_an_error()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows does not let an open file shrink");
        string path = folder.Write("w.safetensors", Of($"{{{Entry("x", "U8", "[4]", "[0,4]")}}}", 4));
        using var file = SafetensorsFile.Open(path);
        File.WriteAllBytes(path, File.ReadAllBytes(path)[..^2]);

        Should.Throw<PipelineException>(() => file.Read("x")).Message.ShouldContain("became shorter");
        Should.Throw<PipelineException>(() => file.Digest("x")).Message.ShouldContain("became shorter");
    }

    public void Dispose() => folder.Dispose();

    private SafetensorsFile Open(byte[] content) => SafetensorsFile.Open(folder.Write("w.safetensors", content));
}
