using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Microsoft.CodeAnalysis;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;

namespace PipelineDsl.Generators.Pipeline;

/// <summary>Reads the steps that stand on a member as attributes.</summary>
internal static class StepAttributes
{
    public static List<PlacedStep> Read(IFieldSymbol field, Action<RecipeDiagnostic> report, CancellationToken cancellation)
    {
        var attributes = field.AssociatedSymbol is IPropertySymbol property ? property.GetAttributes().Concat(field.GetAttributes()) : field.GetAttributes();
        return [.. attributes
            .Where(attribute => SymbolFacts.IsWord(attribute.AttributeClass, nameof(Step)))
            .Select(attribute => Read(attribute, report, cancellation))
            .OfType<PlacedStep>()];
    }

    private static PlacedStep? Read(AttributeData attribute, Action<RecipeDiagnostic> report, CancellationToken cancellation)
    {
        var span = AttributeSettings.SpanOf(attribute, cancellation);
        string name = attribute.AttributeClass!.Name;
        if (StepCatalog.Steps.FirstOrDefault(step => step.Type.Name == name) is not { } descriptor)
        {
            report(new(DiagnosticIds.UnknownMethod, Severity.Error, $"'{name}' is no step of the language; use one of {string.Join(", ", StepCatalog.Steps.Select(step => step.Type.Name))}", span));
            return null;
        }

        var step = descriptor.Create();
        var given = AttributeSettings.Read(attribute, descriptor.Settings, step, report, cancellation);
        return given is null ? null : new(step, new(given), span);
    }
}
