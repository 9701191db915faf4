using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Generators.Models;

namespace PipelineDsl.Generators.Emit;

/// <summary>Emits constants for the paths of a model's layers, in classes nested as the modules are.</summary>
internal static class LayerNamesEmitter
{
    public static string Emit(LayerNamesModel layers)
    {
        var root = new Node("", "");
        foreach (var member in layers.Tree.Members.Where(member => !member.Path.EndsWith("**", StringComparison.Ordinal)))
        {
            root.Add(member.Path);
        }

        var code = new CodeWriter().Namespace(layers.Model.Namespace)
            .Summary($"The paths of the layers of <c>{CodeWriter.Xml(layers.Model.Name)}</c>, as recipes and weights name them; <c>*</c> stands for an index.")
            .Origin()
            .Open($"{(layers.Model.IsPublic ? "public" : "internal")} static class {layers.ClassName}");
        Write(code, root, layers.ClassName);
        return code.Close().ToString();
    }

    private static void Write(CodeWriter code, Node node, string enclosing)
    {
        var used = new HashSet<string>(StringComparer.Ordinal);
        foreach (var child in node.Children)
        {
            string name = Identifiers.Member(child.Name, enclosing, used);
            code.Summary($"<c>{CodeWriter.Xml(child.Path)}</c>");
            if (child.Children.Count == 0)
            {
                code.Line($"public const string {name} = {CodeWriter.Literal(child.Path)};");
                continue;
            }

            code.Open($"public static class {name}");
            Write(code, child, name);
            code.Close();
        }
    }

    /// <summary>A module; the items of a list count as the list itself.</summary>
    private sealed class Node(string name, string path)
    {
        public string Name => name;

        public string Path { get; private set; } = path;

        public List<Node> Children { get; } = [];

        public void Add(string memberPath)
        {
            var node = this;
            string path = "";
            foreach (string segment in memberPath.Split('.'))
            {
                path = path.Length == 0 ? segment : path + "." + segment;
                if (segment == "*")
                {
                    node.Path = path;
                    continue;
                }

                var child = node.Children.FirstOrDefault(known => known.Name == segment);
                if (child is null)
                {
                    node.Children.Add(child = new(segment, path));
                }

                node = child;
            }
        }
    }
}
