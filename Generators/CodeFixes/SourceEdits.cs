using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Text;

namespace PipelineDsl.CodeFixes;

/// <summary>Changes of attributes in the files of a project, as text: whatever is not changed stays to the letter.</summary>
internal sealed class SourceEdits
{
    private readonly Dictionary<SyntaxTree, List<TextChange>> changes = [];

    /// <summary>Puts attributes, one a line, before a declaration.</summary>
    public void Insert(SyntaxNode declaration, IEnumerable<string> attributes, CancellationToken cancellation)
    {
        int start = declaration.SpanStart;
        var line = declaration.SyntaxTree.GetText(cancellation).Lines.GetLineFromPosition(start);
        string before = line.ToString().Substring(0, start - line.Start);
        string indent = before.Substring(0, before.Length - before.TrimStart().Length);
        Add(declaration.SyntaxTree, new(new(start, 0), string.Concat(attributes.Select(attribute => attribute + LineEnd(declaration, cancellation) + indent))));
    }

    /// <summary>Makes the names of the language known in a file.</summary>
    public void Using(SyntaxTree tree, CancellationToken cancellation)
    {
        var root = (CompilationUnitSyntax)tree.GetRoot(cancellation);
        int start = root.Usings.FirstOrDefault()?.SpanStart ?? root.Externs.LastOrDefault()?.FullSpan.End ?? root.GetFirstToken().SpanStart;
        Add(tree, new(new(start, 0), "using PipelineDsl;" + LineEnd(root, cancellation)));
    }

    /// <summary>Takes attributes away, and lists of them that are left with none.</summary>
    public void Remove(IEnumerable<AttributeSyntax> attributes)
    {
        foreach (var list in attributes.Distinct().GroupBy(attribute => (AttributeListSyntax)attribute.Parent!))
        {
            var kept = list.Key.Attributes.Except(list).ToList();
            Add(list.Key.SyntaxTree, kept.Count == 0 ? RemoveList(list.Key) : new(list.Key.Attributes.FullSpan, string.Join(", ", kept.Select(attribute => attribute.ToString()))));
        }
    }

    /// <summary>The project with the changes.</summary>
    public Project Apply(Project project, CancellationToken cancellation)
    {
        var solution = project.Solution;
        foreach (var file in changes)
        {
            solution = solution.WithDocumentText(project.GetDocument(file.Key)!.Id, file.Key.GetText(cancellation).WithChanges(file.Value.OrderBy(change => change.Span.Start)));
        }

        return solution.GetProject(project.Id)!;
    }

    /// <summary>The list with the space behind it, unless somebody wrote there.</summary>
    private static TextChange RemoveList(AttributeListSyntax list)
    {
        var next = list.GetLastToken().GetNextToken();
        bool blank = list.GetTrailingTrivia().Concat(next.LeadingTrivia).All(trivia => trivia.IsKind(SyntaxKind.WhitespaceTrivia) || trivia.IsKind(SyntaxKind.EndOfLineTrivia));
        return new(blank ? TextSpan.FromBounds(list.SpanStart, next.SpanStart) : list.Span, "");
    }

    private static string LineEnd(SyntaxNode node, CancellationToken cancellation)
    {
        var text = node.SyntaxTree.GetText(cancellation);
        var first = text.Lines[0];
        return first.EndIncludingLineBreak > first.End ? text.ToString(TextSpan.FromBounds(first.End, first.EndIncludingLineBreak)) : "\n";
    }

    private void Add(SyntaxTree tree, TextChange change)
    {
        if (!changes.TryGetValue(tree, out var known))
        {
            changes.Add(tree, known = []);
        }

        known.Add(change);
    }
}
