using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats.Safetensors;

using static PipelineDsl.Runtime.Tests.Formats.Safetensors.RawSafetensors;

namespace PipelineDsl.Runtime.Tests.Formats.Safetensors;

public sealed class WeightStoreTests : IDisposable
{
    private const string First = "model-00001-of-00002.safetensors";
    private const string Second = "model-00002-of-00002.safetensors";

    private readonly TemporaryFolder folder = new();

    [Fact]
    public void A_file_and_the_folder_around_it_are_the_same_weights()
    {
        string path = folder.Write("model.safetensors", Of($"{{{Entry("x", "U8", "[2]", "[0,2]")}}}", 2));
        using var file = WeightStore.Open(path);
        using var whole = WeightStore.Open(folder.Path);

        file.Names.ShouldBe(["x"]);
        whole.Names.ShouldBe(["x"]);
        whole.FileDigest().ShouldBe(file.FileDigest());
        whole.Digest("x").ShouldBe(file.Digest("x"));
        file.Warnings.ShouldBeEmpty();
    }

    [Fact]
    public void Shards_are_read_as_one()
    {
        WriteShards();
        Index($$$"""{"metadata":{"total_size":5},"weight_map":{"x":"{{{First}}}","y":"{{{Second}}}"}}""");
        using var weights = WeightStore.Open(folder.Path);

        weights.Names.ShouldBe(["x", "y"]);
        weights.Info("y").ByteCount.ShouldBe(3);
        using var y = weights.Read("y");
        y.data<byte>().ToArray().ShouldBe([0, 1, 2]);
        weights.Warnings.ShouldBeEmpty();
        weights.FileDigest().Length.ShouldBe(64);
        Should.Throw<PipelineException>(() => weights.Read("z")).Message.ShouldContain("holds no tensor 'z'");
    }

    [Fact]
    public void What_is_odd_about_shards_is_warned_of()
    {
        WriteShards();
        folder.Write(First, Of($"{{{Entry("x", "U8", "[2]", "[0,2]")},{Entry("extra", "U8", "[1]", "[2,3]")}}}", 3));
        Index($$$"""{"metadata":{"total_size":5},"weight_map":{"x":"{{{First}}}","y":"{{{Second}}}"}}""");
        using var weights = WeightStore.Open(folder.Path);

        weights.Names.ShouldBe(["x", "y"]);
        weights.Warnings.Select(warning => warning.Message).ShouldBe(
        [
            $"tensor 'extra' of '{First}' is not in the map and is ignored; add it to 'weight_map' or write the shards again",
            "'total_size' says 5 bytes but the shards hold 6; check that all shards are of one model",
        ]);
    }

    [Theory]
    [InlineData("""{"weight_map":{"x":"../secret.safetensors"}}""", "no plain file name")]
    [InlineData("""{"weight_map":{"x":".."}}""", "no plain file name")]
    [InlineData("""{"weight_map":{"x":"a/b"}}""", "no plain file name")]
    [InlineData("""{"weight_map":{"x":"a\\b"}}""", "no plain file name")]
    [InlineData("""{"weight_map":{"x":"C:w"}}""", "no plain file name")]
    [InlineData("""{"weight_map":{"x":""}}""", "no plain file name")]
    [InlineData("""{"weight_map":{"x":3}}""", "no plain file name")]
    [InlineData("""{"weight_map":{"z":"model-00001-of-00002.safetensors"}}""", "tensor 'z' is not in 'model-00001-of-00002.safetensors'")]
    [InlineData("""{"weight_map":{"x":"model-00001-of-00002.safetensors","x":"model-00002-of-00002.safetensors"}}""", "x")]
    [InlineData("""{"weight_map":{"\ud800":"w"}}""", "not a shard index")]
    [InlineData("""{"weight_map":[]}""", "not a shard index")]
    [InlineData("""{}""", "lacks the object 'weight_map'")]
    [InlineData("""[]""", "not a shard index")]
    [InlineData("""{""", "not a shard index")]
    public void A_broken_index_is_refused(string index, string reason)
    {
        WriteShards();
        Index(index);
        var failure = Should.Throw<PipelineException>(() => WeightStore.Open(folder.Path));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.BrokenWeights);
        failure.Message.ShouldContain(reason);
    }

    [Fact]
    public void A_tensor_in_two_shards_is_refused()
    {
        WriteShards();
        folder.Write(Second, Of($"{{{Entry("x", "U8", "[2]", "[0,2]")},{Entry("y", "U8", "[1]", "[2,3]")}}}", 3));
        Index($$$"""{"weight_map":{"x":"{{{First}}}","y":"{{{Second}}}"}}""");
        Should.Throw<PipelineException>(() => WeightStore.Open(folder.Path)).Message.ShouldContain($"tensor 'x' is in two shards, '{First}' and '{Second}'");
    }

    [Fact]
    public void A_missing_shard_is_named()
    {
        WriteShards();
        File.Delete(folder.File(Second));
        Index($$$"""{"weight_map":{"x":"{{{First}}}","y":"{{{Second}}}"}}""");
        var failure = Should.Throw<PipelineException>(() => WeightStore.Open(folder.Path));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.MissingFile);
        failure.Message.ShouldContain(Second);
    }

    [Fact]
    public void An_empty_folder_is_told_what_is_missing()
    {
        var failure = Should.Throw<PipelineException>(() => WeightStore.Open(folder.Path));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.MissingFile);
        failure.Message.ShouldContain("holds neither 'model.safetensors' nor 'model.safetensors.index.json'");
    }

    public void Dispose() => folder.Dispose();

    private void WriteShards()
    {
        folder.Write(First, Of($"{{{Entry("x", "U8", "[2]", "[0,2]")}}}", 2));
        folder.Write(Second, Of($"{{{Entry("y", "U8", "[3]", "[0,3]")}}}", 3));
    }

    private void Index(string json) => folder.Write(WeightStore.IndexFileName, json);
}
