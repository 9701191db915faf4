using System.Text.RegularExpressions;

namespace PipelineDsl.Dsl.Tests;

/// <summary>Keeps ids, their pages and the analyzer's release file together.</summary>
public sealed partial class DiagnosticPagesTests
{
    [Fact]
    public void Every_id_has_a_page_and_every_page_an_id() =>
        Directory.GetFiles(Documentation.File("docs"), "PDSL*.md").Select(Path.GetFileNameWithoutExtension).Order(StringComparer.Ordinal)
            .ShouldBe(Documentation.Ids.Select(item => item.Id));

    [Fact]
    public void A_page_has_the_words_of_its_constant_as_title_an_example_a_reason_and_a_cure()
    {
        foreach (var (id, name) in Documentation.Ids)
        {
            string page = File.ReadAllText(Documentation.File("docs", id + ".md")).ReplaceLineEndings("\n");
            page.ShouldStartWith($"# {id}: {Meaning(name)}\n\n");
            page.ShouldContain($" {id}: ", customMessage: $"{id} shows no message");
            page.ShouldContain("\n**Why it is reported.** ");
            page.ShouldContain("\n**What to do.** ");
            page.Split('\n').Length.ShouldBeLessThan(50, id);
        }
    }

    [Fact]
    public void The_reference_lists_every_id() =>
        Documentation.CheckSection("reference.md", "diagnostics", "| id | meaning |\n|---|---|\n" + string.Concat(Documentation.Ids.Select(item => $"| [{item.Id}]({item.Id}.md) | {Meaning(item.Name)} |\n")));

    [Fact]
    public void Rows_of_the_release_file_are_ids_with_the_words_of_their_constants()
    {
        string release = File.ReadAllText(Documentation.File("Generators", "AnalyzerReleases.Unshipped.md"));
        var rows = ReleaseRow().Matches(release).Select(row => (row.Groups[1].Value, row.Groups[2].Value.Trim())).ToList();
        rows.Count.ShouldBeGreaterThan(10);
        rows.ShouldBeSubsetOf(Documentation.Ids.Select(item => (item.Id, Meaning(item.Name))));
    }

    [Fact]
    public void Links_between_pages_lead_somewhere()
    {
        foreach (string path in Directory.GetFiles(Documentation.File("docs"), "*.md"))
        {
            Link().Matches(File.ReadAllText(path)).Select(link => link.Groups[1].Value)
                .Where(target => !File.Exists(Documentation.File("docs", target))).ShouldBeEmpty(path);
        }
    }

    private static string Meaning(string constant) => Documentation.Summary("F:PipelineDsl.Diagnostics.DiagnosticIds." + constant).TrimEnd('.');

    [GeneratedRegex(@"^(PDSL\d{4}) \| \S+ \| \w+ \| (.*)$", RegexOptions.Multiline)]
    private static partial Regex ReleaseRow();

    [GeneratedRegex(@"\]\(([\w.-]+\.md)[#)]")]
    private static partial Regex Link();
}
