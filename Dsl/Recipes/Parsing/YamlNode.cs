using System.Collections.Generic;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Recipes.Parsing;

/// <summary>A piece of plain YAML and where it is written.</summary>
internal abstract record YamlNode(SourceSpan Span)
{
    /// <summary>The kind of node in words, for messages.</summary>
    public abstract string Kind { get; }
}

/// <summary>One value.</summary>
internal sealed record YamlScalar(string Text, bool IsPlain, SourceSpan Span) : YamlNode(Span)
{
    /// <summary>Whether it was reported already, so that whatever it stands for is no further mistake.</summary>
    public bool IsRefused { get; init; }

    /// <summary>Whether nothing is written where a value could be.</summary>
    public bool IsEmpty => IsPlain && Text is "" or "~" or "null";

    public override string Kind => IsEmpty ? "empty" : $"the value '{Text}'";
}

/// <summary>A list.</summary>
internal sealed record YamlSequence(List<YamlNode> Items, SourceSpan Span) : YamlNode(Span)
{
    public override string Kind => "a list";
}

/// <summary>Keys with values, in the order written, duplicates included.</summary>
internal sealed record YamlMapping(List<KeyValuePair<YamlScalar, YamlNode>> Entries, SourceSpan Span) : YamlNode(Span)
{
    public override string Kind => "a mapping";
}
