using System;
using System.Collections.Generic;
using System.Linq;

namespace PipelineDsl.Plans;

/// <summary>A step as plans and manifests write it, <c>quantize { bits: 4, granularity: group }</c>, read without knowing the method: files of other versions can be compared.</summary>
/// <param name="Name">The name of the step.</param>
/// <param name="Settings">Its settings and their values as text, in the order written.</param>
public sealed record StepText(string Name, IReadOnlyList<KeyValuePair<string, string>> Settings)
{
    private const char Quote = '"';

    /// <summary>Reads a step.</summary>
    /// <exception cref="FormatException">It is no step.</exception>
    public static StepText Parse(string step)
    {
        int brace = step.IndexOf('{');
        if (brace < 0)
        {
            return new(step.Trim(), []);
        }

        int end = step.LastIndexOf('}');
        return end > brace
            ? new(step.Substring(0, brace).Trim(), [.. Split(step.Substring(brace + 1, end - brace - 1), ',').Select(Setting)])
            : throw new FormatException($"'{step}' has no closing brace");
    }

    /// <summary>The steps of a chain, <c>decompose { … } | quantize { … }</c>; a layer that is kept has none.</summary>
    public static IReadOnlyList<string> SplitChain(string chain) => chain == PlannedLayer.NoSteps ? [] : Split(chain, '|');

    private static KeyValuePair<string, string> Setting(string text)
    {
        int colon = text.IndexOf(':');
        return colon > 0 ? new(text.Substring(0, colon).Trim(), text.Substring(colon + 1).Trim()) : throw new FormatException($"'{text}' is no setting");
    }

    /// <summary>Cuts at a sign that stands outside of quotes.</summary>
    private static List<string> Split(string text, char separator)
    {
        var parts = new List<string>();
        bool quoted = false;
        int start = 0;
        for (int i = 0; i <= text.Length; i++)
        {
            if (i == text.Length || (text[i] == separator && !quoted))
            {
                parts.Add(text.Substring(start, i - start).Trim());
                start = i + 1;
            }
            else if (text[i] == '\\' && quoted)
            {
                i++;
            }
            else if (text[i] == Quote)
            {
                quoted = !quoted;
            }
        }

        return parts;
    }
}
