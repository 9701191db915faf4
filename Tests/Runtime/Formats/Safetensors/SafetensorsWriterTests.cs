using System.Text;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats.Safetensors;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Formats.Safetensors;

public sealed class SafetensorsWriterTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Theory]
    [InlineData(ScalarType.Bool)]
    [InlineData(ScalarType.Byte)]
    [InlineData(ScalarType.Int8)]
    [InlineData(ScalarType.Int16)]
    [InlineData(ScalarType.Int32)]
    [InlineData(ScalarType.Int64)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.ComplexFloat32)]
    public void Every_type_comes_back_as_it_was(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var x = arange(0, 24, dtype: float32).reshape(2, 3, 4).to(type);
        SafetensorsWriter.Write(folder.File("w"), Named(("x", x)));

        using var file = SafetensorsFile.Open(folder.File("w"));

        file.Read("x").Equals(x).ShouldBeTrue();
        file.Read("x").dtype.ShouldBe(type);
    }

    [Fact]
    public void Views_and_large_tensors_are_written_in_their_logical_order()
    {
        using var scope = NewDisposeScope();
        var x = arange(0, 700 * 1001, dtype: float32).reshape(700, 1001);
        SafetensorsWriter.Write(folder.File("w"), Named(("x", x.t()), ("scalar", tensor(3.5f)), ("empty", zeros(0, 2))));

        using var file = SafetensorsFile.Open(folder.File("w"));

        file.Read("x").Equals(x.t()).ShouldBeTrue();
        file.Read("scalar").item<float>().ShouldBe(3.5f);
        file.Read("empty").shape.ShouldBe([0, 2]);
    }

    [Fact]
    public void The_same_tensors_give_the_same_bytes_in_any_order()
    {
        using var scope = NewDisposeScope();
        (string, Tensor) a = ("a", ones(3, dtype: int8)), b = ("b", ones(2)), c = ("c", ones(1, dtype: float64));
        var metadata = new Dictionary<string, string> { ["z"] = "1", ["a"] = "é\"" };
        SafetensorsWriter.Write(folder.File("1"), Named(a, b, c), metadata);
        SafetensorsWriter.Write(folder.File("2"), Named(c, b, a), metadata.Reverse().ToDictionary());

        byte[] bytes = File.ReadAllBytes(folder.File("1"));

        File.ReadAllBytes(folder.File("2")).ShouldBe(bytes);
        long headerBytes = BitConverter.ToInt64(bytes);
        (headerBytes % 8).ShouldBe(0);
        Encoding.UTF8.GetString(bytes, 8, (int)headerBytes).TrimEnd(' ').ShouldBe(
            """{"__metadata__":{"a":"é\"","format":"pt","z":"1"},"c":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},"a":{"dtype":"I8","shape":[3],"data_offsets":[16,19]}}""");
    }

    [Fact]
    public void Tensors_are_made_one_at_a_time()
    {
        int alive = 0;
        var pending = Enumerable.Range(0, 3).Select(i => new PendingTensor($"t{i}", ElementType.Of(ScalarType.Float32), [2], () =>
        {
            (++alive).ShouldBe(i + 1);
            return full([2], (float)i);
        })).ToArray();

        SafetensorsWriter.Write(folder.File("w"), pending);

        using var file = SafetensorsFile.Open(folder.File("w"));
        using var last = file.Read("t2");
        last.data<float>().ToArray().ShouldBe([2f, 2f]);
    }

    [Fact]
    public void A_failure_leaves_the_old_file_and_nothing_beside_it()
    {
        string path = folder.Write("w", "old");
        var failing = new PendingTensor("t", ElementType.Of(ScalarType.Float32), [2], () => throw new InvalidOperationException("stop"));

        Should.Throw<InvalidOperationException>(() => SafetensorsWriter.Write(path, [failing]));

        File.ReadAllText(path).ShouldBe("old");
        Directory.GetFiles(folder.Path).ShouldBe([path]);
    }

    [Fact]
    public void Writing_and_reading_leave_no_tensor_behind()
    {
        using var x = ones(700, 1001);
        TensorCount.GrowthOf(() =>
        {
            SafetensorsWriter.Write(folder.File("w"), Named(("x", x)));
            using var file = SafetensorsFile.Open(folder.File("w"));
            file.Read("x").Dispose();
            file.ReadRows("x", 1, 2).Dispose();
        }).ShouldBe(0);
    }

    [Fact]
    public void A_tensor_unlike_its_announcement_is_refused()
    {
        var lying = new PendingTensor("t", ElementType.Of(ScalarType.Float32), [2], () => zeros(3));
        Should.Throw<InvalidOperationException>(() => SafetensorsWriter.Write(folder.File("w"), [lying])).Message.ShouldContain("'t' was announced as F32 [2]");
    }

    [Fact]
    public void Two_tensors_of_one_name_are_refused()
    {
        using var x = ones(1);
        Should.Throw<ArgumentException>(() => SafetensorsWriter.Write(folder.File("w"), [PendingTensor.Of("x", x), PendingTensor.Of("x", x)]));
        Should.Throw<ArgumentException>(() => SafetensorsWriter.Write(folder.File("w"), [PendingTensor.Of("__metadata__", x)]));
    }

    [Fact]
    public void A_target_that_cannot_be_written_is_a_coded_error()
    {
        string notAFolder = folder.Write("file", "");
        using var x = ones(1);
        var failure = Should.Throw<PipelineException>(() => SafetensorsWriter.Write(Path.Combine(notAFolder, "w"), Named(("x", x))));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.FileFailed);
    }

    public void Dispose() => folder.Dispose();

    private static Dictionary<string, Tensor> Named(params (string Name, Tensor Tensor)[] tensors) => tensors.ToDictionary(entry => entry.Name, entry => entry.Tensor);
}
