using System;
using System.IO;
using System.Linq;
using System.Runtime.CompilerServices;
using PipelineDsl.Diagnostics;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace PipelineDsl.Recipes.Parsing;

/// <summary>Reads YAML into nodes: the only class that touches the YAML library.</summary>
/// <remarks>Another analyzer may have loaded another version of the library into the compiler; that too ends in a diagnostic.</remarks>
internal static class YamlReader
{
    private const int MaxCharacters = 256 * 1024;

    /// <summary>Control characters, at some of which the library ends the text without a word, and what stands for bytes that are no UTF-8.</summary>
    private static readonly char[] NoText = [.. Enumerable.Range(0, 0x20).Select(code => (char)code).Where(character => character is not ('\t' or '\r' or '\n')), '\x7F', '\uFFFD'];

    /// <summary>Reads one document; after an error the nodes before it are returned.</summary>
    public static YamlNode? Read(string text, string path, Action<RecipeDiagnostic> report)
    {
        if (text.Length > MaxCharacters)
        {
            report(new(DiagnosticIds.BrokenYaml, Severity.Error, $"the recipe has {text.Length} characters; write at most {MaxCharacters}", SourceSpan.StartOf(path)));
            return null;
        }

        if (text.IndexOfAny(NoText) is >= 0 and var place)
        {
            report(new(DiagnosticIds.BrokenYaml, Severity.Error, $"the character U+{(int)text[place]:X4} stands here, which no text holds; save the file as UTF-8, and delete the character", PlaceOf(text, place, path)));
            return null;
        }

        try
        {
            return ReadEvents(text, path, report);
        }
        catch (Exception problem) when (problem is FileNotFoundException or FileLoadException or TypeLoadException or MissingMethodException)
        {
            report(new(DiagnosticIds.YamlLibraryMismatch, Severity.Error, $"the YAML library beside the compiler does not fit ({problem.Message}); remove the other analyzer that brings YamlDotNet, or update it", SourceSpan.StartOf(path)));
            return null;
        }
    }

    /// <summary>Kept out of line so that a library that does not fit fails inside the caller's try.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static YamlNode? ReadEvents(string text, string path, Action<RecipeDiagnostic> report)
    {
        var tree = new YamlTree(path, report);
        var parser = new Parser(new StringReader(text.TrimStart('\uFEFF')));
        try
        {
            while (!tree.IsStopped && parser.MoveNext())
            {
                Add(tree, parser.Current!, path);
            }
        }
        catch (YamlException problem)
        {
            var (reason, span) = MergeConflict(text, path) is { } conflict ? ("two versions stand here that a merge left unresolved; keep one, and delete the lines of <, = and >", conflict)
                : problem.Message.Contains("tab") && TabIndentation(text, path, parser) is { } tab
                ? ("a tab indents this line; YAML is indented with spaces", tab)
                : (problem.Message.TrimEnd('.') + "; check the indentation, write a space after each ':', and close every quote, brace and bracket", SpanOf(path, problem.Start, problem.End));
            tree.Stop($"this is not YAML: {reason}", span);
        }
        catch (Exception problem) when (problem is ArgumentException or InvalidOperationException or FormatException or ArithmeticException or IndexOutOfRangeException)
        {
            // The library's scanner lets a few inputs, mostly brackets that do not close, through to its internals.
            tree.Stop("this is not YAML: it cannot be read on from here; close every brace, bracket and quote that is open", EndOf(parser, path));
        }

        return tree.Root;
    }

    private static void Add(YamlTree tree, ParsingEvent read, string path)
    {
        var span = SpanOf(path, read.Start, read.End);
        if (read is NodeEvent node && (!node.Anchor.IsEmpty || !node.Tag.IsEmpty))
        {
            tree.Refuse(node.Anchor.IsEmpty ? "a tag" : "an anchor", span);
        }

        switch (read)
        {
            case DocumentStart:
                tree.StartDocument(span);
                break;
            case Scalar scalar:
                tree.AddScalar(new(scalar.Value, scalar.Style == ScalarStyle.Plain, span));
                break;
            case AnchorAlias alias:
                tree.RefuseAlias(alias.Value.ToString(), span);
                tree.AddScalar(new("*" + alias.Value, false, span) { IsRefused = true });
                break;
            case SequenceStart:
                tree.Open(new YamlSequence([], span));
                break;
            case MappingStart:
                tree.Open(new YamlMapping([], span));
                break;
            case SequenceEnd or MappingEnd:
                tree.Close();
                break;
        }
    }

    /// <summary>The first line from where the parser stands that a tab indents: the library names the start of the text instead.</summary>
    private static SourceSpan? TabIndentation(string text, string path, Parser parser)
    {
        string[] lines = text.Split('\n');
        for (int line = EndOf(parser, path).Line - 1; line < lines.Length; line++)
        {
            int column = lines[line].Length - lines[line].TrimStart(' ').Length;
            if (column < lines[line].Length && lines[line][column] == '\t')
            {
                return new(path, line + 1, column + 1, line + 1, column + 2);
            }
        }

        return null;
    }

    /// <summary>The first line that version control writes where it cannot merge.</summary>
    private static SourceSpan? MergeConflict(string text, string path)
    {
        string[] lines = text.Split('\n');
        int line = Array.FindIndex(lines, candidate => candidate.StartsWith("<<<<<<< ", StringComparison.Ordinal));
        return line < 0 ? null : new(path, line + 1, 1, line + 1, lines[line].TrimEnd('\r').Length + 1);
    }

    private static SourceSpan PlaceOf(string text, int place, string path)
    {
        string[] lines = text.Substring(0, place).Replace("\r\n", "\n").Split('\n', '\r');
        int column = lines[lines.Length - 1].Length + 1;
        return new(path, lines.Length, column, lines.Length, column + 1);
    }

    /// <summary>Where the last thing that could be read ends.</summary>
    private static SourceSpan EndOf(Parser parser, string path) =>
        parser.Current is { } last ? SpanOf(path, last.End, last.End) : SourceSpan.StartOf(path);

    private static SourceSpan SpanOf(string path, Mark start, Mark end) =>
        new(path, Clamp(start.Line), Clamp(start.Column), Clamp(end.Line), Clamp(end.Column));

    private static int Clamp(long position) => (int)Math.Max(1, Math.Min(position, int.MaxValue));
}
