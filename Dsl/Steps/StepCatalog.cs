using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Reflection;

namespace PipelineDsl;

/// <summary>Every step of the language with its settings, read off the step classes once.</summary>
public static class StepCatalog
{
    /// <summary>All steps, by name.</summary>
    public static IReadOnlyList<StepDescriptor> Steps { get; } = WordDescriptor.ReadAll(typeof(Step), type => new StepDescriptor(type));

    private static readonly Dictionary<string, StepDescriptor> ByName = Steps.ToDictionary(step => step.Name, StringComparer.Ordinal);

    /// <summary>The step with this YAML name, or null.</summary>
    public static StepDescriptor? Find(string name) => ByName.TryGetValue(name, out var step) ? step : null;

    /// <summary>The descriptor of a step.</summary>
    /// <exception cref="ArgumentException">The step's class is not part of the language.</exception>
    public static StepDescriptor Of(Step step) => Find(WordDescriptor.NameOf(step.GetType()))
        ?? throw new ArgumentException($"'{step.GetType()}' is not a step of the language.", nameof(step));

    /// <summary>A step and its settings in one line, in the order of their names: <c>decompose { orientation: context, rank: 24 }</c>.</summary>
    public static string Describe(Step step) => Of(step).Describe(step);
}

/// <summary>One step of the language.</summary>
public sealed class StepDescriptor : WordDescriptor
{
    internal StepDescriptor(Type type)
        : base(type)
    {
    }

    /// <summary>A step with default settings.</summary>
    public Step Create() => (Step)New();
}

/// <summary>One setting of a word.</summary>
public sealed class SettingDescriptor
{
    private readonly PropertyInfo property;

    internal SettingDescriptor(PropertyInfo property, object defaultValue)
    {
        this.property = property;
        Name = CamelCase(property.Name);
        Default = defaultValue;
        Deprecation = WordDescriptor.DeprecationOf(property);
        Range = property.GetCustomAttribute<WithinAttribute>();
        Choices = Type.IsEnum ? [.. Enum.GetNames(Type).Select(CamelCase)] : [];
        RangeText = DescribeRange();
    }

    /// <summary>The name in YAML.</summary>
    public string Name { get; }

    /// <summary>The name in C#.</summary>
    public string PropertyName => property.Name;

    /// <summary>The type: int, long, double, bool, string or an enum.</summary>
    public Type Type => property.PropertyType;

    /// <summary>The value when the user says nothing.</summary>
    public object Default { get; }

    /// <summary>What to do in place of using the setting, where its property is marked <see cref="ObsoleteAttribute"/>; else null.</summary>
    public string? Deprecation { get; }

    /// <summary>The values allowed, or null.</summary>
    public WithinAttribute? Range { get; }

    /// <summary>The names an enum setting accepts in YAML, or nothing.</summary>
    public IReadOnlyList<string> Choices { get; }

    /// <summary>The settings of a word of the language: its public read-write properties, in the order of their names.</summary>
    public static IReadOnlyList<SettingDescriptor> ReadFrom(Attribute defaults) => [.. defaults.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance)
        .Where(property => property.GetSetMethod() is not null && property.GetGetMethod() is not null)
        .Select(property => new SettingDescriptor(property, property.GetValue(defaults)!))
        .OrderBy(setting => setting.Name, StringComparer.Ordinal)];

    /// <summary>Reads the setting.</summary>
    public object Get(Attribute owner) => property.GetValue(owner)!;

    /// <summary>Writes the setting.</summary>
    public void Set(Attribute owner, object value) => property.SetValue(owner, value);

    /// <summary>Understands the text of a YAML scalar.</summary>
    /// <param name="text">The scalar.</param>
    /// <param name="value">The value, in the setting's type and range.</param>
    /// <param name="problem">What is wrong and what to write instead.</param>
    public bool TryParse(string text, out object value, out string problem) => ScalarText.TryParse(this, text, out value, out problem);

    /// <summary>What is wrong with a value that the user wrote, or null.</summary>
    public string? CheckRange(object value)
    {
        if (Range is null || value is string or bool or Enum)
        {
            return null;
        }

        double number = Convert.ToDouble(value, CultureInfo.InvariantCulture);
        bool inside = number <= Range.Maximum && (Range.ExclusiveMinimum ? number > Range.Minimum : number >= Range.Minimum);
        return inside ? null : $"'{Name}' is {Format(value)}; it must be {RangeText}";
    }

    /// <summary>The range in words.</summary>
    public string RangeText { get; }

    private string DescribeRange()
    {
        if (Range is null)
        {
            return Type == typeof(bool) ? "true or false" : Type.IsEnum ? "one of " + string.Join(", ", Choices) : Type == typeof(string) ? "text" : "a number";
        }

        string low = Range.Minimum.ToString("R", CultureInfo.InvariantCulture);
        string high = Range.Maximum.ToString("R", CultureInfo.InvariantCulture);
        bool open = Range.Maximum is int.MaxValue or long.MaxValue or double.PositiveInfinity or double.MaxValue;
        return (Range.ExclusiveMinimum ? "above " + low : open ? "at least " + low : "from " + low) + (open ? "" : (Range.ExclusiveMinimum ? " and at most " : " to ") + high);
    }

    /// <summary>A value as YAML writes it.</summary>
    public static string Format(object value) => value switch
    {
        bool flag => flag ? "true" : "false",
        Enum choice => CamelCase(choice.ToString()),
        string text => "\"" + text.Replace("\\", "\\\\").Replace("\"", "\\\"") + "\"",
        double number => number.ToString("R", CultureInfo.InvariantCulture),
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString()!,
    };

    /// <summary>A name of C# as YAML spells it.</summary>
    public static string CamelCase(string name) => char.ToLowerInvariant(name[0]) + name.Substring(1);
}
