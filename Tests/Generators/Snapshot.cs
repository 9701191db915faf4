using System.Runtime.CompilerServices;

namespace PipelineDsl.Generators.Tests;

/// <summary>Compares a text with <c>Class.Method.verified.txt</c> beside the test, the name that Verify uses.</summary>
internal static class Snapshot
{
    private const string Update = "PIPELINEDSL_UPDATE_SNAPSHOTS";

    /// <summary>Compares a whole file with what it should be.</summary>
    public static void CheckFile(string path, string found, string expected)
    {
        if (Environment.GetEnvironmentVariable(Update) == "1")
        {
            File.WriteAllText(path, found = expected);
        }

        found.ShouldBe(expected, $"{Path.GetFileName(path)} is out of date; run the test with {Update}=1");
    }

    public static void Check(string text, [CallerFilePath] string file = "", [CallerMemberName] string method = "")
    {
        string path = Path.Combine(Path.GetDirectoryName(file)!, $"{Path.GetFileNameWithoutExtension(file)}.{method}.verified.txt");
        if (Environment.GetEnvironmentVariable(Update) == "1")
        {
            File.WriteAllText(path, text);
        }

        string expected = File.Exists(path) ? File.ReadAllText(path).ReplaceLineEndings("\n") : "";
        text.ShouldBe(expected, $"{Path.GetFileName(path)} differs; look at the change, and if it is meant run the test with {Update}=1");
    }
}
