using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Reflection;

namespace PipelineDsl;

/// <summary>Every step of the language with its settings, read off the step classes once.</summary>
public static class StepCatalog
{
    private static readonly Dictionary<string, StepDescriptor> ByName = typeof(Step).Assembly.GetTypes()
        .Where(type => type.IsSubclassOf(typeof(Step)) && !type.IsAbstract && type.IsPublic)
        .Select(type => new StepDescriptor(type))
        .ToDictionary(step => step.Name, StringComparer.Ordinal);

    /// <summary>All steps, by name.</summary>
    public static IReadOnlyList<StepDescriptor> Steps { get; } = [.. ByName.Values.OrderBy(step => step.Name, StringComparer.Ordinal)];

    /// <summary>The step with this YAML name, or null.</summary>
    public static StepDescriptor? Find(string name) => ByName.TryGetValue(name, out var step) ? step : null;

    /// <summary>The descriptor of a step.</summary>
    /// <exception cref="ArgumentException">The step's class is not part of the language.</exception>
    public static StepDescriptor Of(Step step) => Find(StepDescriptor.NameOf(step.GetType()))
        ?? throw new ArgumentException($"'{step.GetType()}' is not a step of the language.", nameof(step));

    /// <summary>A step and its settings in one line, in the order of their names: <c>decompose { orientation: context, rank: 24 }</c>.</summary>
    public static string Describe(Step step)
    {
        var descriptor = Of(step);
        var settings = descriptor.Settings.Select(setting => setting.Name + ": " + SettingDescriptor.Format(setting.Get(step)));
        return descriptor.Settings.Count == 0 ? descriptor.Name : descriptor.Name + " { " + string.Join(", ", settings) + " }";
    }
}

/// <summary>One step of the language.</summary>
public sealed class StepDescriptor
{
    internal StepDescriptor(Type type)
    {
        Type = type;
        Name = NameOf(type);
        Settings = SettingDescriptor.ReadFrom(Create());
    }

    /// <summary>The name in YAML.</summary>
    public string Name { get; }

    /// <summary>The class.</summary>
    public Type Type { get; }

    /// <summary>The settings, by name.</summary>
    public IReadOnlyList<SettingDescriptor> Settings { get; }

    /// <summary>A step with default settings.</summary>
    public Step Create() => (Step)Activator.CreateInstance(Type)!;

    /// <summary>The setting with this YAML name, or null.</summary>
    public SettingDescriptor? Find(string name) => Settings.FirstOrDefault(setting => setting.Name == name);

    internal static string NameOf(Type type) => SettingDescriptor.CamelCase(type.Name);
}

/// <summary>One setting of a step.</summary>
public sealed class SettingDescriptor
{
    private readonly PropertyInfo property;

    internal SettingDescriptor(PropertyInfo property, object defaultValue)
    {
        this.property = property;
        Name = CamelCase(property.Name);
        Default = defaultValue;
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
        IFormattable number => number.ToString("R", CultureInfo.InvariantCulture),
        _ => value.ToString()!,
    };

    internal static string CamelCase(string name) => char.ToLowerInvariant(name[0]) + name.Substring(1);
}
