using System.Security.Cryptography;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Safetensors;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

public sealed class WeightDigestsTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("pdsl-digests-").FullName;

    public WeightDigestsTests()
    {
        using var x = arange(6, float32);
        using var y = arange(3, float32);
        SafetensorsWriter.Write(File, new Dictionary<string, Tensor> { ["x"] = x, ["y"] = y });
    }

    private string File => Path.Combine(folder, "model.safetensors");

    private ContentStore Store => new(Path.Combine(folder, "cache"));

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void Digests_are_those_of_the_file_and_its_tensors_the_first_time_and_after()
    {
        string file = Convert.ToHexStringLower(SHA256.HashData(System.IO.File.ReadAllBytes(File)));
        using var weights = WeightStore.Open(File);
        for (int time = 0; time < 2; time++)
        {
            var digests = new WeightDigests(Store, new Later());
            digests.OfFile(weights).ShouldBe(file);
            digests.OfTensors(weights, ["y", "x"]).ShouldBe([weights.Digest("y"), weights.Digest("x")]);
            digests.OfTensors(weights, ["x"]).ShouldBe([weights.Digest("x")]);
        }
    }

    [Fact]
    public void A_file_whose_length_and_times_are_the_same_is_not_hashed_again()
    {
        string digest = OfFile(new Later());
        var written = System.IO.File.GetLastWriteTimeUtc(File);
        Damage();
        System.IO.File.SetLastWriteTimeUtc(File, written);
        OfFile(new Later()).ShouldBe(digest);
    }

    [Fact]
    public void A_file_that_was_written_since_is_hashed_again()
    {
        string digest = OfFile(new Later());
        Damage();
        System.IO.File.SetLastWriteTimeUtc(File, System.IO.File.GetLastWriteTimeUtc(File).AddSeconds(1));
        OfFile(new Later()).ShouldNotBe(digest);
    }

    /// <summary>The grain of a file's times is too coarse to tell what happens just after.</summary>
    [Fact]
    public void A_file_that_has_just_been_written_is_hashed_every_time()
    {
        string digest = OfFile(null);
        var written = System.IO.File.GetLastWriteTimeUtc(File);
        Damage();
        System.IO.File.SetLastWriteTimeUtc(File, written);
        OfFile(null).ShouldNotBe(digest);
        Directory.Exists(Path.Combine(folder, "cache")).ShouldBeFalse();
    }

    [Fact]
    public void A_copy_elsewhere_with_the_same_times_is_hashed_for_itself()
    {
        string digest = OfFile(new Later());
        string copy = Path.Combine(folder, "copy.safetensors");
        System.IO.File.Copy(File, copy);
        byte[] bytes = System.IO.File.ReadAllBytes(copy);
        bytes[^1] ^= 1;
        System.IO.File.WriteAllBytes(copy, bytes);
        System.IO.File.SetLastWriteTimeUtc(copy, System.IO.File.GetLastWriteTimeUtc(File));
        using var weights = WeightStore.Open(copy);
        new WeightDigests(Store, new Later()).OfFile(weights).ShouldNotBe(digest);
    }

    [Fact]
    public void A_store_that_is_only_looked_at_gives_what_it_has_and_keeps_nothing()
    {
        using var weights = WeightStore.Open(File);
        var looking = new ContentStore(Path.Combine(folder, "cache")) { IsReadOnly = true };
        string digest = new WeightDigests(looking, new Later()).OfFile(weights);
        Directory.Exists(Path.Combine(folder, "cache")).ShouldBeFalse();

        OfFile(new Later()).ShouldBe(digest);
        var written = System.IO.File.GetLastWriteTimeUtc(File);
        Damage();
        System.IO.File.SetLastWriteTimeUtc(File, written);
        new WeightDigests(looking, new Later()).OfFile(weights).ShouldBe(digest);
    }

    [Fact]
    public void A_cache_that_cannot_be_written_to_costs_no_more_than_hashing_again()
    {
        System.IO.File.WriteAllText(Path.Combine(folder, "cache"), "no folder");
        OfFile(new Later()).ShouldBe(OfFile(null));
    }

    private string OfFile(TimeProvider? clock)
    {
        using var weights = WeightStore.Open(File);
        return new WeightDigests(Store, clock).OfFile(weights);
    }

    /// <summary>Changes the last number, in the file's place.</summary>
    private void Damage()
    {
        using var stream = new FileStream(File, FileMode.Open, FileAccess.ReadWrite);
        stream.Seek(-1, SeekOrigin.End);
        int last = stream.ReadByte();
        stream.Seek(-1, SeekOrigin.End);
        stream.WriteByte((byte)(last ^ 1));
    }

    private sealed class Later : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => DateTimeOffset.UtcNow.AddMinutes(1);
    }
}
