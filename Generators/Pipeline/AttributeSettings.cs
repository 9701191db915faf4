using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;

namespace PipelineDsl.Generators.Pipeline;

/// <summary>Reads the arguments of an attribute into an object of the same class.</summary>
internal static class AttributeSettings
{
    /// <summary>Where the attribute is written.</summary>
    public static SourceSpan SpanOf(AttributeData attribute, CancellationToken cancellation) =>
        SymbolFacts.Span(attribute.ApplicationSyntaxReference!.GetSyntax(cancellation).GetLocation());

    /// <summary>Where an argument's value is written: by name, or the first one by position; else the attribute.</summary>
    public static SourceSpan SpanOf(AttributeData attribute, string? name, CancellationToken cancellation)
    {
        var syntax = (AttributeSyntax)attribute.ApplicationSyntaxReference!.GetSyntax(cancellation);
        var argument = syntax.ArgumentList?.Arguments.FirstOrDefault(candidate => candidate.NameEquals?.Name.Identifier.ValueText == name);
        return SymbolFacts.Span((argument?.Expression ?? (SyntaxNode)syntax).GetLocation());
    }

    /// <summary>Sets what the user wrote.</summary>
    /// <returns>The settings given; null when one of them is wrong.</returns>
    public static List<GivenSetting>? Read(AttributeData attribute, IReadOnlyList<SettingDescriptor> known, Attribute owner, Action<RecipeDiagnostic> report, CancellationToken cancellation)
    {
        var given = new List<GivenSetting>();
        bool right = true;
        foreach (var argument in attribute.NamedArguments)
        {
            // What the compiler itself refuses has no value here, or is written twice.
            if (given.Exists(other => other.Name == argument.Key) || known.FirstOrDefault(setting => setting.PropertyName == argument.Key) is not { } setting || argument.Value is not { Kind: TypedConstantKind.Primitive or TypedConstantKind.Enum, Value: { } constant })
            {
                continue;
            }

            var span = SpanOf(attribute, argument.Key, cancellation);
            object value = setting.Type.IsEnum ? Enum.ToObject(setting.Type, constant) : Convert.ChangeType(constant, setting.Type, CultureInfo.InvariantCulture);
            if (Problem(setting, value) is { } problem)
            {
                report(new(DiagnosticIds.InvalidValue, Severity.Error, problem, span));
                right = false;
                continue;
            }

            setting.Set(owner, value);
            given.Add(new(setting.PropertyName, span));
        }

        return right ? given : null;
    }

    private static string? Problem(SettingDescriptor setting, object value) => setting.Type.IsEnum && !IsDefined(setting.Type, value)
        ? $"'{setting.Name}' is {value}; it must be {setting.RangeText}"
        : setting.CheckRange(value);

    /// <summary>Whether an enum has the value, or all flags of it: then its text is names, no number.</summary>
    private static bool IsDefined(Type type, object value) => Enum.IsDefined(type, value) || (type.IsDefined(typeof(FlagsAttribute), false) && !long.TryParse(value.ToString(), out _));
}
