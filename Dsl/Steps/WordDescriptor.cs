using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;

namespace PipelineDsl;

/// <summary>A word of the language: a class that is an attribute in C# and a key in YAML.</summary>
public class WordDescriptor
{
    internal WordDescriptor(Type type)
    {
        Type = type;
        Name = NameOf(type);
        Deprecation = DeprecationOf(type);
        Settings = SettingDescriptor.ReadFrom(New());
    }

    /// <summary>The name in YAML.</summary>
    public string Name { get; }

    /// <summary>What to do in place of using the word, where its class is marked <see cref="ObsoleteAttribute"/>; else null.</summary>
    public string? Deprecation { get; }

    /// <summary>The class.</summary>
    public Type Type { get; }

    /// <summary>The settings, by name.</summary>
    public IReadOnlyList<SettingDescriptor> Settings { get; }

    /// <summary>The word with default settings.</summary>
    public Attribute New() => (Attribute)Activator.CreateInstance(Type)!;

    /// <summary>The setting with this YAML name, or null.</summary>
    public SettingDescriptor? Find(string name) => Settings.FirstOrDefault(setting => setting.Name == name);

    /// <summary>The word and its settings in one line, in the order of their names: <c>decompose { orientation: context, rank: 24 }</c>.</summary>
    public string Describe(Attribute word) => Settings.Count == 0
        ? Name
        : Name + " { " + string.Join(", ", Settings.Select(setting => setting.Name + ": " + SettingDescriptor.Format(setting.Get(word)))) + " }";

    internal static string? DeprecationOf(MemberInfo member) => member.GetCustomAttribute<ObsoleteAttribute>() is { } mark ? mark.Message ?? "drop it" : null;

    internal static string NameOf(Type type) => SettingDescriptor.CamelCase(type.Name);

    /// <summary>The words of a kind, by name.</summary>
    internal static IReadOnlyList<T> ReadAll<T>(Type kind, Func<Type, T> read)
        where T : WordDescriptor => [.. kind.Assembly.GetTypes().Where(type => type.IsSubclassOf(kind) && !type.IsAbstract && type.IsPublic).Select(read).OrderBy(word => word.Name, StringComparer.Ordinal)];
}
