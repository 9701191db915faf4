using System;
using System.IO;
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

    /// <summary>Reads one document; after an error the nodes before it are returned.</summary>
    public static YamlNode? Read(string text, string path, Action<RecipeDiagnostic> report)
    {
        if (text.Length > MaxCharacters)
        {
            report(new(DiagnosticIds.BrokenYaml, Severity.Error, $"the recipe has {text.Length} characters; write at most {MaxCharacters}", SourceSpan.StartOf(path)));
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
        try
        {
            var parser = new Parser(new StringReader(text.TrimStart('\uFEFF')));
            while (!tree.IsStopped && parser.MoveNext())
            {
                Add(tree, parser.Current!, path);
            }
        }
        catch (YamlException problem)
        {
            string reason = problem.Message.TrimEnd('.');
            tree.Stop($"this is not YAML: {reason}", SpanOf(path, problem.Start, problem.End));
        }
        catch (Exception problem) when (problem is ArgumentException or InvalidOperationException or FormatException or ArithmeticException or IndexOutOfRangeException)
        {
            // The library's scanner lets a few inputs through to its internals.
            tree.Stop($"this is not YAML: {problem.Message}", SourceSpan.StartOf(path));
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
            case AnchorAlias:
                tree.Refuse("an alias", span);
                tree.AddScalar(new("", true, span));
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

    private static SourceSpan SpanOf(string path, Mark start, Mark end) =>
        new(path, Clamp(start.Line), Clamp(start.Column), Clamp(end.Line), Clamp(end.Column));

    private static int Clamp(long position) => (int)Math.Max(1, Math.Min(position, int.MaxValue));
}
