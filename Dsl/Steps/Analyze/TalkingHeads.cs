using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>
/// Which attention heads write into subspaces that later heads read, down to single singular components, from the weights alone (arXiv:2406.09519); a component can be scaled or switched off.
/// </summary>
public sealed class TalkingHeads : Analyze
{
    /// <summary>The query projections, one in each attention layer, by a pattern such as <c>layers.*.attention.wq</c>.</summary>
    public string Query { get; set; } = "";

    /// <summary>The key projections; empty, with <c>value</c>, where one projection holds query, key and value below each other.</summary>
    public string Key { get; set; } = "";

    /// <summary>The value projections.</summary>
    public string Value { get; set; } = "";

    /// <summary>The output projections.</summary>
    public string Output { get; set; } = "";

    /// <summary>The norms that the projections read through, whose gain belongs to them; empty leaves them out. That of a LayerNorm also takes out the mean.</summary>
    public string Norm { get; set; } = "";

    /// <summary>The heads of an attention layer, those of its queries.</summary>
    [Within(1, int.MaxValue)]
    public int Heads { get; set; } = 1;

    /// <summary>How many components of a pair of heads, those read best, are kept of the scores; 0 keeps all.</summary>
    [Within(0, int.MaxValue)]
    public int Components { get; set; }

    /// <summary>Standard deviations above the mean at which a component is a channel.</summary>
    [Within(0, 1000)]
    public double ZThreshold { get; set; } = 4;

    /// <summary>How many components of each kind of composition are channels, those read best, instead of those beyond <c>zThreshold</c>; 0 goes by the threshold.</summary>
    [Within(0, int.MaxValue)]
    public int Top { get; set; }

    /// <summary>Components whose singular values differ by at most this share are judged together.</summary>
    [Within(0, 0.999999)]
    public double ClusterTolerance { get; set; } = 1e-3;

    /// <summary>Components to scale in what a head writes, as <c>layer.head.component = factor</c>, several with commas; without a factor they are switched off. Empty changes nothing.</summary>
    public string Edit { get; set; } = "";

    /// <inheritdoc/>
    public override IEnumerable<(string Setting, string Pattern)> Patterns => new[]
    {
        (nameof(Query), Query), (nameof(Key), Key), (nameof(Value), Value), (nameof(Output), Output), (nameof(Norm), Norm),
    }.Where(pattern => pattern.Item2.Length > 0);

    /// <inheritdoc/>
    public override bool NamesLinear(string setting) => setting != nameof(Norm);

    /// <inheritdoc/>
    public override bool Edits => Edit.Length > 0;

    /// <summary>What <see cref="Edit"/> says; nothing where it cannot be read.</summary>
    public IReadOnlyList<HeadComponent> EditedComponents => ReadEdit(out _);

    /// <inheritdoc/>
    public override bool EditsUntouched(string path, LayerKinds kind) => Edits && kind == LayerKinds.Linear && new Recipes.LayerPattern(Output).Matches(path);

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(ISet<string> given, bool isTrained)
    {
        foreach (var (setting, text, example) in new[] { (nameof(Query), Query, "layers.*.attention.wq"), (nameof(Output), Output, "layers.*.attention.wo") })
        {
            if (text.Length == 0)
            {
                string name = SettingDescriptor.CamelCase(setting);
                yield return new(DiagnosticIds.MissingSetting, null, $"'talkingHeads' has no '{name}'; add '{name}' with the layers that it is, such as \"{example}\"");
            }
        }

        if (!given.Contains(nameof(Heads)))
        {
            yield return new(DiagnosticIds.MissingSetting, null, "'talkingHeads' has no 'heads'; add how many heads an attention layer has, which no weight tells");
        }

        if ((Key.Length == 0) != (Value.Length == 0))
        {
            yield return new(DiagnosticIds.ContradictorySettings, Key.Length == 0 ? nameof(Value) : nameof(Key), "'key' and 'value' go together; name both, or neither where 'query' holds all three");
        }

        ReadEdit(out string? problem);
        if (problem is not null)
        {
            yield return new(DiagnosticIds.InvalidValue, nameof(Edit), problem);
        }
    }

    private List<HeadComponent> ReadEdit(out string? problem)
    {
        problem = null;
        var edits = new List<HeadComponent>();
        foreach (string part in Edit.Length == 0 ? [] : Edit.Split(','))
        {
            string[] sides = part.Split('=');
            int[] place = [.. sides[0].Trim().Split('.').Select(number => int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : -1)];
            double factor = 0;
            bool right = place.Length == 3 && !place.Contains(-1) && sides.Length <= 2
                && (sides.Length == 1 || (double.TryParse(sides[1].Trim(), NumberStyles.Float, CultureInfo.InvariantCulture, out factor) && Math.Abs(factor) <= 1e6));
            if (!right || edits.Any(edit => edit.Layer == place[0] && edit.Head == place[1] && edit.Component == place[2]))
            {
                problem = right
                    ? $"'edit' names {sides[0].Trim()} twice; keep one of them"
                    : $"'edit' has '{part.Trim()}'; write 'layer.head.component = factor', such as '0.1.2 = 0.5', several with commas";
                return [];
            }

            edits.Add(new(place[0], place[1], place[2], factor));
        }

        return edits;
    }
}

/// <summary>A singular component of what a head writes, to be scaled.</summary>
/// <param name="Layer">The attention layer, from 0.</param>
/// <param name="Head">The head within it, from 0.</param>
/// <param name="Component">Its number, by falling singular value, from 0.</param>
/// <param name="Factor">What its singular value is multiplied by.</param>
public sealed record HeadComponent(int Layer, int Head, int Component, double Factor);
