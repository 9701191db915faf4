using PipelineDsl.Runtime.Engine;

namespace PipelineDsl.Runtime.Tests.Engine;

public sealed class ContentStoreTests : IDisposable
{
    private static readonly string Key = new ContentKey("test").Add("a", 1).ToString();

    private readonly string folder = Directory.CreateTempSubdirectory("pdsl-store-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    /// <summary>Stores of one folder stand for processes: nothing but the folder joins them.</summary>
    [Fact]
    public async Task Work_that_many_ask_for_at_once_is_done_once()
    {
        int computed = 0;
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() =>
        {
            var store = new ContentStore(folder);
            using var claim = store.Claim(Key, CancellationToken.None);
            if (store.Find(Key) is null)
            {
                Interlocked.Increment(ref computed);
                Thread.Sleep(20);
                store.Put(Key, path => File.WriteAllText(path, "result"));
            }
        })));

        computed.ShouldBe(1);
        File.ReadAllText(new ContentStore(folder).Find(Key)!).ShouldBe("result");
    }

    [Fact]
    public void A_wait_for_a_claim_ends_when_the_run_is_cancelled()
    {
        using var claim = new ContentStore(folder).Claim(Key, CancellationToken.None);
        using var cancellation = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
        Should.Throw<OperationCanceledException>(() => new ContentStore(folder).Claim(Key, cancellation.Token));
    }

    [Fact]
    public void What_killed_processes_left_is_cleaned_and_what_living_ones_write_is_not()
    {
        string parent = Path.Combine(folder, "tmp");
        using var living = ScratchFolder.In(parent);
        string dead = Path.Combine(parent, "dead");
        Directory.CreateDirectory(dead);
        File.WriteAllText(dead + ".lock", "");
        File.WriteAllText(Path.Combine(dead, "content"), "half");

        new ContentStore(folder).Put(Key, path => File.WriteAllText(path, "result"));

        Directory.GetFileSystemEntries(parent).ShouldBe([living.Path, living.Path + ".lock"], ignoreOrder: true);
    }
}
