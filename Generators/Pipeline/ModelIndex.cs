using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Generators.Models;
using PipelineDsl.Models;

namespace PipelineDsl.Generators.Pipeline;

/// <summary>The module classes of a project by name, and the trees of those that are models.</summary>
internal sealed class ModelIndex
{
    private readonly Dictionary<string, ModuleClass> classes;
    private readonly Dictionary<string, (ModelTree Tree, IReadOnlyCollection<string> Reached)> trees = new(StringComparer.Ordinal);

    public ModelIndex(IEnumerable<ModuleClass> found)
    {
        classes = found.GroupBy(type => type.FullName, StringComparer.Ordinal).ToDictionary(group => group.Key, group => group.First(), StringComparer.Ordinal);
        Classes = [.. classes.Values.OrderBy(type => type.FullName, StringComparer.Ordinal)];
    }

    public IReadOnlyList<ModuleClass> Classes { get; }

    public ModuleClass? Find(string fullName) => classes.TryGetValue(fullName, out var type) ? type : null;

    public ModelTree TreeOf(ModuleClass model) => Join(model).Tree;

    /// <summary>Every class inside the model, itself included.</summary>
    public IReadOnlyCollection<string> ReachedBy(ModuleClass model) => Join(model).Reached;

    /// <summary>The class that a wrong name probably means: its namespace forgotten, or a slip of the finger.</summary>
    public ModuleClass? Nearest(string name)
    {
        string simple = name.Substring(name.LastIndexOf('.') + 1);
        string? near = Classes.FirstOrDefault(type => type.Name == simple)?.FullName
            ?? NearestName.Find(name, classes.Keys)
            ?? (NearestName.Find(simple, Classes.Select(type => type.Name)) is { } other ? Classes.First(type => type.Name == other).FullName : null);
        return near is null ? null : classes[near];
    }

    /// <summary>The one class that no other holds, where there is one: a recipe that names no model means it.</summary>
    public ModuleClass? Only()
    {
        var held = new HashSet<string>(Classes.SelectMany(type => ReachedBy(type).Where(name => name != type.FullName)), StringComparer.Ordinal);
        var roots = Classes.Where(type => !held.Contains(type.FullName)).Take(2).ToList();
        return roots.Count == 1 ? roots[0] : null;
    }

    private (ModelTree Tree, IReadOnlyCollection<string> Reached) Join(ModuleClass model)
    {
        if (!trees.TryGetValue(model.FullName, out var joined))
        {
            var builder = new ModelTreeBuilder(classes);
            joined = (builder.Build(model), builder.Reached);
            trees.Add(model.FullName, joined);
        }

        return joined;
    }
}
