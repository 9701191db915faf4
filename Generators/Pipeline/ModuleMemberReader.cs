using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Microsoft.CodeAnalysis;
using PipelineDsl.Diagnostics;
using PipelineDsl.Generators.Models;
using PipelineDsl.Recipes;

namespace PipelineDsl.Generators.Pipeline;

/// <summary>Finds the members that TorchSharp registers as sub-modules: fields by reflection over the object's own class, so not the private ones of its bases.</summary>
internal sealed class ModuleMemberReader(Compilation compilation, Action<RecipeDiagnostic> report, CancellationToken cancellation)
{
    public IEnumerable<ModuleMember> Read(INamedTypeSymbol type)
    {
        var members = new List<ModuleMember>();
        foreach (var owner in SymbolFacts.SelfAndBases(type).OfType<INamedTypeSymbol>().TakeWhile(part => !SymbolFacts.IsTorchModule(part) && !SymbolFacts.IsAnyModule(part)))
        {
            bool isBase = !SymbolEqualityComparer.Default.Equals(owner, type);
            var assigned = AssignedValues.Of(owner, compilation, cancellation);
            foreach (var field in owner.GetMembers().OfType<IFieldSymbol>().Where(field => !field.IsStatic && !(isBase && field.DeclaredAccessibility == Accessibility.Private)))
            {
                cancellation.ThrowIfCancellationRequested();
                if (ReadField(field, assigned, isBase) is { } member)
                {
                    members.Add(member);
                }
            }
        }

        return members;
    }

    private ModuleMember? ReadField(IFieldSymbol field, AssignedValues assigned, bool isBase)
    {
        var written = field.AssociatedSymbol ?? field;
        if (written is not (IFieldSymbol or IPropertySymbol) || written.Locations.Length == 0)
        {
            return null;
        }

        // The base's own reading has reported its mistakes already.
        var steps = StepAttributes.Read(field, isBase ? static _ => { } : report, cancellation);
        if (SymbolFacts.MayHoldModule(field.Type))
        {
            return MemberExpression.Describe(RegisteredName(field), field.Type, assigned.Of(written), SymbolFacts.Span(written.Locations[0]), new(steps));
        }

        if (steps.Count > 0 && !isBase)
        {
            string name = StepCatalog.Of(steps[0].Step).Name;
            report(new(DiagnosticIds.NotCompressible, Severity.Error, $"'{name}' stands on '{written.Name}', which is no module but '{SymbolFacts.ShortName(field.Type)}'; put it on a layer", steps[0].Span));
        }

        return null;
    }

    /// <summary>The field's name (for an auto-property, that of its backing field) unless [ComponentName] says another.</summary>
    private static string RegisteredName(IFieldSymbol field)
    {
        var attribute = field.GetAttributes().FirstOrDefault(candidate => candidate.AttributeClass is { Name: "ComponentNameAttribute", ContainingNamespace: { Name: "Utils", ContainingNamespace.Name: "TorchSharp" } });
        return attribute?.NamedArguments.FirstOrDefault(argument => argument.Key == "Name").Value.Value as string ?? field.Name;
    }
}
