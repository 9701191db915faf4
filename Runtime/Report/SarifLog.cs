using System.Reflection;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Runtime.Report;

/// <summary>Writes what a run said in the static analysis results interchange format (SARIF 2.1.0, OASIS), from which services annotate the lines of recipes and models.</summary>
internal static partial class SarifLog
{
    /// <summary>The name of the file.</summary>
    public const string FileName = "report.sarif";

    private const string Root = "%SRCROOT%";

    private static readonly Dictionary<string, string> Names = typeof(DiagnosticIds).GetFields(BindingFlags.Public | BindingFlags.Static)
        .ToDictionary(field => (string)field.GetRawConstantValue()!, field => field.Name);

    private static readonly JsonSerializerOptions Options = new() { WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The text of the log; the same input gives the same text.</summary>
    /// <param name="projectDirectory">Full path of the project's folder.</param>
    /// <param name="root">Full path of the folder that places are told relative to.</param>
    /// <param name="version">The version of this library.</param>
    /// <param name="diagnostics">All that was said, in order; paths are full or relative to the project.</param>
    /// <param name="succeeded">Whether the run did all that it was asked to.</param>
    public static string Write(string projectDirectory, string root, string version, IReadOnlyList<RecipeDiagnostic> diagnostics, bool succeeded)
    {
        string[] rules = [.. diagnostics.Select(diagnostic => diagnostic.Id).Distinct().Order(StringComparer.Ordinal)];
        var log = new JsonObject
        {
            ["$schema"] = "https://json.schemastore.org/sarif-2.1.0.json",
            ["version"] = "2.1.0",
            ["runs"] = new JsonArray(new JsonObject
            {
                ["tool"] = new JsonObject
                {
                    ["driver"] = new JsonObject
                    {
                        ["name"] = "PipelineDsl",
                        ["version"] = version,
                        ["informationUri"] = DiagnosticPages.Folder,
                        ["rules"] = new JsonArray([.. rules.Select(Rule)]),
                    },
                },
                ["columnKind"] = "utf16CodeUnits",
                ["originalUriBaseIds"] = new JsonObject { [Root] = new JsonObject { ["uri"] = Folder(root) } },
                ["invocations"] = new JsonArray(new JsonObject { ["executionSuccessful"] = succeeded }),
                ["results"] = new JsonArray([.. diagnostics.Select(diagnostic => Result(diagnostic, Array.IndexOf(rules, diagnostic.Id), Place(root, Path.GetFullPath(diagnostic.Span.Path, projectDirectory))))]),
            }),
        };
        return log.ToJsonString(Options) + "\n";
    }

    /// <summary>What services know files by: the folder of the repository that a folder lies in, or the folder itself where there is none.</summary>
    public static string RootOf(string projectDirectory)
    {
        for (string? folder = Path.GetFullPath(projectDirectory); folder is not null; folder = Path.GetDirectoryName(folder))
        {
            // A file in a work tree, a folder elsewhere.
            if (Path.Exists(Path.Combine(folder, ".git")))
            {
                return folder;
            }
        }

        return Path.GetFullPath(projectDirectory);
    }

    private static JsonObject Rule(string id)
    {
        var rule = new JsonObject { ["id"] = id };
        if (Names.TryGetValue(id, out string? name))
        {
            // Some services show these, and refuse a rule without them.
            string[] page = PageOf(id).Split("\n\n", 3);
            rule["name"] = name;
            rule["shortDescription"] = new JsonObject { ["text"] = page[0][(page[0].IndexOf(':') + 2)..] };
            rule["fullDescription"] = new JsonObject { ["text"] = page[1] };
            rule["help"] = new JsonObject { ["text"] = $"What to do: {DiagnosticPages.Of(id)}", ["markdown"] = page[2] };
            rule["helpUri"] = DiagnosticPages.Of(id);
        }

        return rule;
    }

    /// <summary>The page of a code, with links that lead somewhere from everywhere.</summary>
    private static string PageOf(string id)
    {
        using var stream = typeof(SarifLog).Assembly.GetManifestResourceStream(id + ".md") ?? throw new InvalidOperationException($"no page tells of '{id}'");
        using var reader = new StreamReader(stream);
        return PageLink().Replace(reader.ReadToEnd().ReplaceLineEndings("\n"), "](" + DiagnosticPages.Folder);
    }

    [GeneratedRegex(@"\]\((?=[\w.-]+\.md)")]
    private static partial Regex PageLink();

    private static JsonObject Result(RecipeDiagnostic diagnostic, int rule, JsonObject place)
    {
        var span = diagnostic.Span;
        return new()
        {
            ["ruleId"] = diagnostic.Id,
            ["ruleIndex"] = rule,
            ["level"] = diagnostic.Severity switch { Severity.Error => "error", Severity.Warning => "warning", _ => "note" },
            ["message"] = new JsonObject { ["text"] = diagnostic.Message },
            ["locations"] = new JsonArray(new JsonObject
            {
                ["physicalLocation"] = new JsonObject
                {
                    ["artifactLocation"] = place,
                    ["region"] = new JsonObject { ["startLine"] = span.Line, ["startColumn"] = span.Column, ["endLine"] = span.EndLine, ["endColumn"] = span.EndColumn },
                },
            }),
        };
    }

    /// <summary>A file below the root is named relative to it, any other by its full path.</summary>
    private static JsonObject Place(string root, string full)
    {
        string relative = Path.GetRelativePath(root, full);
        bool inside = !Path.IsPathRooted(relative) && relative.Split(Path.DirectorySeparatorChar)[0] != "..";
        return inside
            ? new() { ["uri"] = Escaped(relative), ["uriBaseId"] = Root }
            : new() { ["uri"] = Absolute(full) };
    }

    private static string Folder(string path) => Absolute(Path.GetFullPath(path)).TrimEnd('/') + "/";

    private static string Absolute(string path) => "file://" + (path.StartsWith('/') || path.StartsWith(@"\\", StringComparison.Ordinal) ? "" : "/") + Escaped(path.StartsWith(@"\\", StringComparison.Ordinal) ? path[2..] : path);

    /// <summary>A path as a part of an address; the colon behind a drive's letter stays.</summary>
    private static string Escaped(string path) =>
        string.Join('/', path.Split(Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar).Select(part => part is [var drive, ':'] && char.IsAsciiLetter(drive) ? part : Uri.EscapeDataString(part)));
}
