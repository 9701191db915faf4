using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Recipes.Parsing;

/// <summary>Takes the known keys out of a mapping and reports the others.</summary>
internal sealed class MappingReader
{
    private readonly Dictionary<string, KeyValuePair<YamlScalar, YamlNode>> entries = new(StringComparer.Ordinal);
    private readonly HashSet<string> meant = new(StringComparer.Ordinal);
    private readonly YamlMapping mapping;
    private readonly Action<RecipeDiagnostic> report;
    private bool refused;

    public MappingReader(YamlMapping mapping, Action<RecipeDiagnostic> report)
    {
        this.mapping = mapping;
        this.report = report;
        foreach (var entry in mapping.Entries)
        {
            if (entries.TryGetValue(entry.Key.Text, out var first))
            {
                report(new(DiagnosticIds.DuplicateKey, Severity.Error, $"'{entry.Key.Text}' stands here again, after line {first.Key.Span.Line.ToString(CultureInfo.InvariantCulture)}; keep one of them", entry.Key.Span));
            }
            else
            {
                entries.Add(entry.Key.Text, entry);
            }
        }
    }

    /// <summary>The entries, each key once.</summary>
    public IEnumerable<KeyValuePair<YamlScalar, YamlNode>> Entries => mapping.Entries.Where(entry => entries[entry.Key.Text].Key == entry.Key);

    /// <summary>Reports every key that is not known.</summary>
    public void RefuseOthers(string owner, IReadOnlyCollection<string> known)
    {
        refused |= Entries.Any(entry => entry.Key.IsRefused);
        foreach (var key in Entries.Select(entry => entry.Key).Where(key => !key.IsRefused && !known.Contains(key.Text)))
        {
            RefuseKey(key, owner, known);
        }
    }

    /// <summary>Reports one key that is not known.</summary>
    public void RefuseKey(YamlScalar key, string owner, IEnumerable<string> known)
    {
        refused = true;
        string[] names = [.. known];
        string? name = NearestName.Find(key.Text, names);
        bool free = name is not null && !entries.ContainsKey(name);
        string hint = name is not null ? NearestName.Hint(name) : names.Length == 0 ? "; drop it, for there is nothing to set" : $"; there {(names.Length == 1 ? "is" : "are")} {string.Join(", ", names)}";
        report(new(DiagnosticIds.UnknownKey, Severity.Error, $"{owner} has no '{key.Text}'{hint}", key.Span) { Replacement = free ? name : null });
        if (name is not null)
        {
            meant.Add(name);
        }
    }

    /// <summary>The value of a key, or null.</summary>
    public YamlNode? Find(string key) => entries.TryGetValue(key, out var entry) ? entry.Value : null;

    /// <summary>Where a key that is there is written.</summary>
    public SourceSpan SpanOf(string key) => entries[key].Key.Span;

    /// <summary>The text of a key's value; null, reported, when it is no text.</summary>
    public WrittenText? Text(string key) => Find(key) is { } value ? TextOf(key, value) : null;

    /// <summary>As <see cref="Text"/>, reporting a key that is not there, unless a misspelt one means it.</summary>
    public WrittenText? RequiredText(string key, string owner, string write, SourceSpan span)
    {
        if (Find(key) is null && !meant.Contains(key))
        {
            report(new(DiagnosticIds.MissingSetting, Severity.Error, $"{owner} has no '{key}'; add {write}", span));
        }

        return Text(key);
    }

    /// <summary>Reports every setting that is there and should no longer be.</summary>
    public void WarnOfDeprecated(IReadOnlyList<SettingDescriptor> known)
    {
        foreach (var key in Entries.Select(entry => entry.Key))
        {
            if (known.FirstOrDefault(setting => setting.Name == key.Text)?.Deprecation is { } cure)
            {
                report(new(DiagnosticIds.Deprecated, Severity.Warning, $"'{key.Text}' is deprecated; {cure}", key.Span));
            }
        }
    }

    /// <summary>Reads settings into their owner.</summary>
    /// <returns>The settings given; null when one of them is wrong or unknown.</returns>
    public List<GivenSetting>? Settings(IReadOnlyList<SettingDescriptor> known, Attribute owner)
    {
        WarnOfDeprecated(known);
        var given = new List<GivenSetting>();
        bool right = !refused;
        foreach (var entry in Entries)
        {
            if (known.FirstOrDefault(setting => setting.Name == entry.Key.Text) is not { } setting)
            {
                continue;
            }

            if (TryRead(setting, entry.Value, out object value))
            {
                setting.Set(owner, value);
                given.Add(new(setting.PropertyName, entry.Value.Span));
            }
            else
            {
                right = false;
            }
        }

        return right ? given : null;
    }

    /// <summary>The text of a value that stands under a key; null, reported, when it is no text.</summary>
    public WrittenText? TextOf(string key, YamlNode value)
    {
        if (value is YamlScalar { IsRefused: true })
        {
            return null;
        }

        if (value is YamlScalar { IsEmpty: false, Text.Length: > 0 } scalar)
        {
            return new(scalar.Text, scalar.Span);
        }

        report(new(value is YamlScalar ? DiagnosticIds.InvalidValue : DiagnosticIds.BrokenYaml, Severity.Error, $"'{key}' is {value.Kind}; write one text", value.Span));
        return null;
    }

    /// <summary>Understands the value of a setting, or reports what is wrong with it.</summary>
    public bool TryRead(SettingDescriptor setting, YamlNode node, out object value)
    {
        value = setting.Default;
        if (node is YamlScalar { IsRefused: false, IsEmpty: true })
        {
            report(new(DiagnosticIds.InvalidValue, Severity.Error, $"'{setting.Name}' is empty; it must be {ScalarText.Wanted(setting, "")}", node.Span));
            return false;
        }

        if (TextOf(setting.Name, node) is not { } written)
        {
            return false;
        }

        bool isText = setting.Type == typeof(string) || setting.Type.IsEnum;
        string problem = $"'{setting.Name}' is the text \"{written.Text}\"; it must be {setting.RangeText}, without quotes";
        if ((isText || ((YamlScalar)node).IsPlain) && setting.TryParse(written.Text, out value, out problem))
        {
            return true;
        }

        report(new(DiagnosticIds.InvalidValue, Severity.Error, problem, written.Span) { Replacement = Meant(setting, written.Text) });
        return false;
    }

    /// <summary>The choice that is near, or the number without its quotes.</summary>
    private static string? Meant(SettingDescriptor setting, string text) => setting.Type.IsEnum ? NearestName.Find(text, setting.Choices)
        : setting.TryParse(text, out _, out _) ? text : null;
}
