using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Recipes.Parsing;

/// <summary>Reads <c>steps:</c>, a list of entries with <c>match</c> and the steps for what it matches.</summary>
internal sealed class StepsReader(Action<RecipeDiagnostic> report)
{
    public const string Match = "match";

    public List<Rule> Read(YamlNode node)
    {
        if (node is not YamlSequence list)
        {
            Refuse(node, "'steps' is", "write a list whose entries start with '- match:'");
            return [];
        }

        return [.. list.Items.Select(ReadEntry).OfType<Rule>()];
    }

    private Rule? ReadEntry(YamlNode node)
    {
        if (node is not YamlMapping mapping)
        {
            Refuse(node, "an entry of 'steps' is", "write '- match: <layers>' and a step below it");
            return null;
        }

        var reader = new MappingReader(mapping, report);
        var steps = new List<PlacedStep>();
        bool named = false;
        WordDescriptor? before = null;
        foreach (var entry in reader.Entries.Where(entry => entry.Key.Text != Match))
        {
            if (before?.Find(entry.Key.Text) is not null && StepCatalog.Find(entry.Key.Text) is null)
            {
                report(new(DiagnosticIds.UnknownMethod, Severity.Error, $"there is no step '{entry.Key.Text}'; indent it deeper than '{before.Name}', of which it is a setting", entry.Key.Span));
                continue;
            }

            before = entry.Value is YamlScalar { IsEmpty: true } ? StepCatalog.Find(entry.Key.Text) : null;
            if (reader.Find(Match) is null && NearestName.Find(entry.Key.Text, [Match]) is not null)
            {
                reader.RefuseKey(entry.Key, "an entry of 'steps'", [Match]);
                continue;
            }

            named = true;
            if (!entry.Key.IsRefused && ReadStep(entry.Key, entry.Value) is { } step)
            {
                steps.Add(step);
            }
        }

        var match = reader.RequiredText(Match, "the entry", "'match' with a layer or a pattern such as \"layers.*.attention.**\"", mapping.Span);
        if (match is null || !IsPattern(match))
        {
            return null;
        }

        if (!named)
        {
            report(new(DiagnosticIds.MissingSetting, Severity.Error, $"nothing is to be done with '{match.Text}'; add a step such as 'quantize: {{ bits: 4 }}'", match.Span));
        }

        return new(match.Text, new(steps), match.Span);
    }

    private PlacedStep? ReadStep(YamlScalar name, YamlNode value) =>
        new WordReader(report).Read(name, value, "step", StepCatalog.Steps) is { } read ? new((Step)read.Word, read.Given, name.Span) : null;

    private bool IsPattern(WrittenText match)
    {
        try
        {
            return new LayerPattern(match.Text).Text.Length > 0;
        }
        catch (FormatException problem)
        {
            report(new(DiagnosticIds.InvalidValue, Severity.Error, problem.Message, match.Span));
            return false;
        }
    }

    private void Refuse(YamlNode node, string what, string cure) => report(new(DiagnosticIds.BrokenYaml, Severity.Error, $"{what} {node.Kind}; {cure}", node.Span));
}
