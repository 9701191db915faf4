using PipelineDsl.Runtime.Formats;

namespace PipelineDsl.Runtime.Tests.Formats;

public sealed class AtomicFileTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("pdsl-atomic-").FullName;

    private string Target => Path.Combine(folder, "a.txt");

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void What_a_killed_process_left_of_the_same_file_goes_with_the_next_write()
    {
        File.WriteAllText($"{Target}.{Guid.NewGuid():N}.tmp", "half");
        string[] others = [$"{Target}.mine.tmp", Path.Combine(folder, $"b.txt.{Guid.NewGuid():N}.tmp")];
        Array.ForEach(others, other => File.WriteAllText(other, "not ours"));

        AtomicFile.Write(Target, stream => stream.Write("whole"u8));

        Directory.GetFiles(folder).ShouldBe([Target, .. others], ignoreOrder: true);
        File.ReadAllText(Target).ShouldBe("whole");
    }

    [Fact]
    public void What_another_writer_is_about_to_finish_stays()
    {
        AtomicFile.Write(Target, slow =>
        {
            slow.Write("slow"u8);
            AtomicFile.Write(Target, quick => quick.Write("quick"u8));
        });

        File.ReadAllText(Target).ShouldBe("slow");
        Directory.GetFiles(folder).ShouldBe([Target]);
    }

    [Fact]
    public void A_write_that_fails_leaves_the_old_content_and_nothing_else()
    {
        File.WriteAllText(Target, "old");
        Should.Throw<InvalidOperationException>(() => AtomicFile.Write(Target, stream =>
        {
            stream.Write("new"u8);
            throw new InvalidOperationException();
        }));

        File.ReadAllText(Target).ShouldBe("old");
        Directory.GetFiles(folder).ShouldBe([Target]);
    }
}
