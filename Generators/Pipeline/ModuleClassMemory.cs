using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Threading;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using PipelineDsl.Generators.Models;

namespace PipelineDsl.Generators.Pipeline;

/// <summary>What module classes were read as, from one edit to the next.</summary>
/// <remarks>
/// The compiler asks for every class again after every edit, and binding constructors and initializers takes a millisecond a few. What a class is read as
/// depends on the files of its parts and its bases, and on what all other files declare, constants included, but on no method of theirs. So it stands
/// as long as those files are the same objects and every other file declares the same. It is a memory of one driver and never its truth:
/// whatever does not fit is read.
/// </remarks>
internal sealed class ModuleClassMemory
{
    private readonly ConditionalWeakTable<Compilation, Declarations> known = new();
    private readonly object gate = new();
    private Declarations? last;

    /// <summary>As <see cref="ModuleClassReader.Read"/>.</summary>
    public ModuleClass? Read(GeneratorSyntaxContext context, CancellationToken cancellation)
    {
        var compilation = context.SemanticModel.Compilation;
        var read = Of(compilation, cancellation).Read;
        if (read.TryGetValue(context.Node, out var remembered) && remembered.Files.All(compilation.ContainsSyntaxTree))
        {
            return remembered.Class;
        }

        var type = ModuleClassReader.Read(context.Node, context.SemanticModel, cancellation);
        read[context.Node] = new(type, [.. Files(context, cancellation)]);
        return type;
    }

    /// <summary>The files of all parts of the class and of its bases.</summary>
    private static IEnumerable<SyntaxTree> Files(GeneratorSyntaxContext context, CancellationToken cancellation) =>
        SymbolFacts.SelfAndBases(context.SemanticModel.GetDeclaredSymbol(context.Node, cancellation) as ITypeSymbol)
            .SelectMany(type => type.DeclaringSyntaxReferences)
            .Select(part => part.SyntaxTree)
            .Distinct();

    private Declarations Of(Compilation compilation, CancellationToken cancellation)
    {
        lock (gate)
        {
            if (known.TryGetValue(compilation, out var declarations))
            {
                return declarations;
            }

            var files = compilation.SyntaxTrees.ToImmutableArray();
            var references = compilation.References.ToImmutableArray();
            bool same = last is not null && last.References.SequenceEqual(references) && last.Options.Equals(compilation.Options) && Declare(last.Files, files, cancellation);
            var kept = same ? last!.Read.Where(item => compilation.ContainsSyntaxTree(item.Key.SyntaxTree)) : [];
            last = new(files, references, compilation.Options, new(kept));
            known.Add(compilation, last);
            return last;
        }
    }

    /// <summary>Whether two states of the files declare the same.</summary>
    private static bool Declare(ImmutableArray<SyntaxTree> before, ImmutableArray<SyntaxTree> after, CancellationToken cancellation)
    {
        if (before.Length != after.Length)
        {
            return false;
        }

        for (int index = 0; index < before.Length; index++)
        {
            cancellation.ThrowIfCancellationRequested();
            if (before[index] != after[index] && !(before[index].Options.Equals(after[index].Options) && SyntaxFactory.AreEquivalent(before[index], after[index], topLevel: true)))
            {
                return false;
            }
        }

        return true;
    }

    private sealed record Remembered(ModuleClass? Class, ImmutableArray<SyntaxTree> Files);

    private sealed record Declarations(ImmutableArray<SyntaxTree> Files, ImmutableArray<MetadataReference> References, CompilationOptions Options, ConcurrentDictionary<SyntaxNode, Remembered> Read);
}
