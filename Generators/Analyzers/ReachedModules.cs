using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;
using PipelineDsl.Generators.Models;
using PipelineDsl.Generators.Pipeline;
using PipelineDsl.Recipes.Parsing;

namespace PipelineDsl.Generators.Analyzers;

/// <summary>The module classes inside the models of a project's recipes, read when they are first asked for: most projects never ask.</summary>
internal sealed class ReachedModules
{
    private readonly Compilation compilation;
    private readonly AnalyzerOptions options;
    private readonly CancellationToken cancellation;
    private readonly Lazy<HashSet<string>> names;

    public ReachedModules(Compilation compilation, AnalyzerOptions options, CancellationToken cancellation)
    {
        this.compilation = compilation;
        this.options = options;
        this.cancellation = cancellation;

        // A reading that was cancelled is no answer: the next one who asks reads again.
        names = new(Read, LazyThreadSafetyMode.PublicationOnly);
    }

    /// <summary>Whether a class, or one that derives from it, is inside a model.</summary>
    public bool Contains(INamedTypeSymbol type) => names.Value.Contains(SymbolFacts.FullName(type));

    private HashSet<string> Read()
    {
        var models = new HashSet<string>(YamlModels(), StringComparer.Ordinal);
        var bases = new Dictionary<string, List<string>>(StringComparer.Ordinal);
        var classes = new List<ModuleClass>();
        foreach (var tree in compilation.SyntaxTrees)
        {
            var semantics = new Lazy<SemanticModel>(() => compilation.GetSemanticModel(tree));
            foreach (var node in tree.GetRoot(cancellation).DescendantNodes().Where(ModuleClassReader.MayBeModule))
            {
                if (ModuleClassReader.Read(node, semantics.Value, cancellation) is { } read && semantics.Value.GetDeclaredSymbol(node, cancellation) is INamedTypeSymbol type)
                {
                    classes.Add(read);
                    bases[read.FullName] = [.. SymbolFacts.SelfAndBases(type).Select(SymbolFacts.FullName)];
                    if (type.GetAttributes().Any(attribute => SymbolFacts.IsWord(attribute.AttributeClass, nameof(RecipeAttribute))))
                    {
                        models.Add(read.FullName);
                    }
                }
            }
        }

        var index = new ModelIndex(classes);
        return new(models.Select(index.Find).OfType<ModuleClass>().SelectMany(index.ReachedBy).SelectMany(name => bases[name]), StringComparer.Ordinal);
    }

    private IEnumerable<string> YamlModels() => options.AdditionalFiles
        .Where(file => RecipeFile.IsMarked(options.AnalyzerConfigOptionsProvider, file))
        .Select(file => RecipeParser.Parse(file.GetText(cancellation)?.ToString() ?? "", file.Path).Draft.Model?.Text)
        .OfType<string>();
}
