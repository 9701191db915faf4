using System;
using System.Collections.Generic;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Recipes.Parsing;

/// <summary>Grows a tree of nodes; refuses what a recipe, which is plain data, does not need.</summary>
internal sealed class YamlTree(string path, Action<RecipeDiagnostic> report)
{
    private const int MaxDepth = 32;
    private const int MaxScalar = 1000;
    private const int MaxShown = 100;

    /// <summary>Spaces that are none to YAML, and characters without a width: pasted, they make a word another one. In quotes they are meant.</summary>
    private static readonly char[] Unseen = ['\u00A0', '\u00AD', '\u200B', '\u200C', '\u200D', '\u200E', '\u200F', '\u202F', '\u2060', '\u3000', '\uFEFF'];

    private readonly Stack<(YamlNode Node, YamlScalar? Key)> open = new();
    private bool started;

    /// <summary>What has been read.</summary>
    public YamlNode? Root { get; private set; }

    /// <summary>Whether the rest of the text can no longer be understood.</summary>
    public bool IsStopped { get; private set; }

    public void StartDocument(SourceSpan span)
    {
        if (started)
        {
            Stop("a second document starts here; write one recipe a file", span);
        }

        started = true;
    }

    public void AddScalar(YamlScalar scalar)
    {
        if (scalar.Text.Length > MaxScalar)
        {
            if (!scalar.IsRefused)
            {
                Report($"a value has {scalar.Text.Length} characters; write at most {MaxScalar}", scalar.Span);
            }

            scalar = scalar with { Text = scalar.Text.Substring(0, MaxScalar), IsRefused = true };
        }

        if (scalar is { IsPlain: true, IsRefused: false } && scalar.Text.IndexOfAny(Unseen) is >= 0 and var place)
        {
            Stop($"the character U+{(int)scalar.Text[place]:X4} stands here, which nobody sees; delete it, or write a plain space", scalar.Span);
            return;
        }

        if (open.Count > 0 && open.Peek() is { Node: YamlMapping, Key: null })
        {
            open.Push((open.Pop().Node, scalar));
        }
        else
        {
            Place(scalar);
        }
    }

    public void Open(YamlNode container)
    {
        if (open.Count == MaxDepth)
        {
            Stop($"values are nested more than {MaxDepth} deep; a recipe needs no more than five", container.Span);
        }
        else if (open.Count > 0 && open.Peek() is { Node: YamlMapping, Key: null })
        {
            Stop($"a key is {container.Kind}; write a name", container.Span);
        }
        else
        {
            Place(container);
            open.Push((container, null));
        }
    }

    public void Close() => open.Pop();

    public void Refuse(string what, SourceSpan span) => Report($"{what} stands here; recipes are plain data: write the value itself", span);

    /// <summary>What looks like an alias is usually a pattern that begins with a star.</summary>
    public void RefuseAlias(string name, SourceSpan span)
    {
        string shown = name.Length <= MaxShown ? name : name.Substring(0, MaxShown) + "…";
        Report($"an alias stands here, because '*{shown}' is not in quotes; write \"*{shown}\"", span);
    }

    public void Stop(string message, SourceSpan span)
    {
        Report(message, span);
        IsStopped = true;
    }

    private void Place(YamlNode node)
    {
        if (open.Count == 0)
        {
            Root ??= node;
            return;
        }

        var (parent, key) = open.Pop();
        if (parent is YamlMapping mapping)
        {
            mapping.Entries.Add(new(key!, node));
        }
        else
        {
            ((YamlSequence)parent).Items.Add(node);
        }

        open.Push((parent, null));
    }

    private void Report(string message, SourceSpan span) => report(new(DiagnosticIds.BrokenYaml, Severity.Error, message, span with { Path = path }));
}
