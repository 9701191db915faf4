using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Recipes.Parsing;

/// <summary>Reads a word of the language with its settings: a key and what stands below it.</summary>
internal sealed class WordReader(Action<RecipeDiagnostic> report)
{
    /// <summary>Reads a word; null, reported, when it is none or a setting is wrong.</summary>
    /// <param name="name">The key.</param>
    /// <param name="value">What stands below it; nothing leaves the defaults.</param>
    /// <param name="kind">What the words are, for messages.</param>
    /// <param name="words">The words there are.</param>
    public (Attribute Word, EquatableArray<GivenSetting> Given)? Read(YamlScalar name, YamlNode value, string kind, IReadOnlyList<WordDescriptor> words)
    {
        if (words.FirstOrDefault(word => word.Name == name.Text) is not { } descriptor)
        {
            string? near = NearestName.Find(name.Text, words.Select(known => known.Name));
            string choices = near is not null ? NearestName.Hint(near) : "; there are " + string.Join(", ", words.Select(known => known.Name));
            report(new(DiagnosticIds.UnknownMethod, Severity.Error, $"there is no {kind} '{name.Text}'{choices}", name.Span) { Replacement = near });
            return null;
        }

        if (descriptor.Deprecation is { } cure)
        {
            report(new(DiagnosticIds.Deprecated, Severity.Warning, $"'{name.Text}' is deprecated; {cure}", name.Span));
        }

        var word = descriptor.New();
        if (value is YamlScalar { IsEmpty: true })
        {
            return (word, default);
        }

        if (value is not YamlMapping mapping)
        {
            string cures = descriptor.Settings.Count == 0 ? "write nothing behind it, for it has no settings" : "write its settings as { name: value }";
            report(new(DiagnosticIds.BrokenYaml, Severity.Error, $"'{name.Text}' is {value.Kind}; {cures}", value.Span));
            return null;
        }

        var reader = new MappingReader(mapping, report);
        reader.RefuseOthers($"'{name.Text}'", [.. descriptor.Settings.Select(setting => setting.Name)]);
        return reader.Settings(descriptor.Settings, word) is { } given ? (word, new(given)) : null;
    }
}
