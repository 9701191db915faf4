using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Generators.Models;
using PipelineDsl.Models;

namespace PipelineDsl.Generators.Pipeline;

/// <summary>Joins module classes by name into the tree of a model.</summary>
internal sealed class ModelTreeBuilder(IReadOnlyDictionary<string, ModuleClass> classes)
{
    /// <summary>A class that holds itself gives a tree without end; beyond these the rest counts as not shown.</summary>
    private const int MaxDepth = 32;
    private const int MaxMembers = 10_000;

    private readonly List<ModelMember> members = [];
    private readonly Stack<string> entered = new();
    private readonly HashSet<string> reached = new(StringComparer.Ordinal);

    /// <summary>Every class inside the model, itself included.</summary>
    public IReadOnlyCollection<string> Reached => reached;

    public ModelTree Build(ModuleClass model)
    {
        Enter(model, "");
        return new(model.FullName, new(members));
    }

    private void Enter(ModuleClass type, string path)
    {
        entered.Push(type.FullName);
        reached.Add(type.FullName);
        foreach (var member in type.Members)
        {
            Add(member, path);
        }

        entered.Pop();
    }

    private void Add(ModuleMember member, string parent)
    {
        string path = parent.Length == 0 ? member.Name : parent + "." + member.Name;
        members.Add(new(path, member.TypeName, member.Kind, member.Shape, member.Span, member.Steps));
        foreach (var child in member.Children)
        {
            Add(child, path);
        }

        bool open = member.IsOpen;
        if (member.ClassName is { } name)
        {
            if (classes.TryGetValue(name, out var type) && !entered.Contains(name) && entered.Count < MaxDepth && members.Count < MaxMembers)
            {
                Enter(type, path);
            }
            else
            {
                open = true;
            }
        }

        if (open)
        {
            members.Add(new(path + ".**", "Module", null, null, member.Span, default));
        }
    }
}
