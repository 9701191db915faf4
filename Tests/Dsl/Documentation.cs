using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Dsl.Tests;

/// <summary>The documentation in <c>docs/</c> and in the classes.</summary>
internal static partial class Documentation
{
    private const string Update = "PIPELINEDSL_UPDATE_SNAPSHOTS";

    private static readonly Lock Pages = new();

    private static readonly Dictionary<string, XElement> Members = Directory.GetFiles(AppContext.BaseDirectory, "PipelineDsl.*.xml")
        .Where(file => !file.EndsWith(".Tests.xml", StringComparison.Ordinal))
        .SelectMany(file => XDocument.Load(file).Descendants("member")).ToDictionary(member => member.Attribute("name")!.Value);

    /// <summary>Every id with the name of its constant.</summary>
    public static IReadOnlyList<(string Id, string Name)> Ids { get; } =
        [.. typeof(DiagnosticIds).GetFields().Select(field => ((string)field.GetRawConstantValue()!, field.Name)).OrderBy(item => item.Item1, StringComparer.Ordinal)];

    /// <summary>A file of the repository.</summary>
    public static string File(params string[] parts) => Path.Combine([RepositoryRoot(), .. parts]);

    /// <summary>The summary of a member as Markdown in one line.</summary>
    public static string Summary(string member) => Text(Members[member].Element("summary")!);

    /// <summary>The description of a property of a record: its own, or that of the parameter it comes from.</summary>
    public static string Property(PropertyInfo property) =>
        Members[$"T:{property.DeclaringType!.FullName}"].Elements("param").FirstOrDefault(parameter => parameter.Attribute("name")!.Value == property.Name) is { } parameter
            ? Text(parameter)
            : Summary($"P:{property.DeclaringType.FullName}.{property.Name}");

    /// <summary>Compares a section of a page with what it should be; rewrites it on request.</summary>
    public static void CheckSection(string page, string name, string expected)
    {
        using var turn = Pages.EnterScope();
        string path = File("docs", page);
        string text = System.IO.File.ReadAllText(path).ReplaceLineEndings("\n");
        string start = $"<!-- generated: {name} -->\n";
        int from = text.IndexOf(start, StringComparison.Ordinal) + start.Length;
        int to = text.IndexOf("<!-- end -->", from, StringComparison.Ordinal);
        if (Environment.GetEnvironmentVariable(Update) == "1")
        {
            System.IO.File.WriteAllText(path, text[..from] + expected + text[to..]);
            return;
        }

        text[from..to].ShouldBe(expected, $"'{name}' of {page} is out of date; run the test with {Update}=1");
    }

    /// <summary>Compares a whole page with what it should be; rewrites it on request.</summary>
    public static void CheckFile(string page, string expected)
    {
        using var turn = Pages.EnterScope();
        string path = File("docs", page);
        if (Environment.GetEnvironmentVariable(Update) == "1")
        {
            System.IO.File.WriteAllText(path, expected);
            return;
        }

        System.IO.File.ReadAllText(path).ReplaceLineEndings("\n").ShouldBe(expected, $"{page} is out of date; run the test with {Update}=1");
    }

    private static string Text(XElement description) => Spaces().Replace(string.Concat(description.Nodes().Select(Markdown)), " ").Trim();

    private static string Markdown(XNode node) => node switch
    {
        XText text => text.Value,
        XElement { Name.LocalName: "c" } code => $"`{code.Value}`",
        XElement { Name.LocalName: "paramref" } parameter => $"`{char.ToLowerInvariant(parameter.Attribute("name")!.Value[0])}{parameter.Attribute("name")!.Value[1..]}`",
        XElement { Name.LocalName: "see" } see => $"`{Referred(see.Attribute("cref")!.Value)}`",
        _ => throw new InvalidOperationException($"a summary holds {node}"),
    };

    /// <summary>Settings and their choices have their YAML names; classes keep theirs.</summary>
    private static string Referred(string cref)
    {
        string name = cref[(cref.LastIndexOf('.') + 1)..];
        return cref[0] == 'T' ? name : char.ToLowerInvariant(name[0]) + name[1..];
    }

    private static string RepositoryRoot([CallerFilePath] string file = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(file)!, "..", ".."));

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();
}
