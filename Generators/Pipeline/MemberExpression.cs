using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Operations;
using PipelineDsl.Diagnostics;
using PipelineDsl.Generators.Models;
using PipelineDsl.Recipes;

namespace PipelineDsl.Generators.Pipeline;

/// <summary>Says what a member is, from its declared type and the values assigned to it.</summary>
internal static class MemberExpression
{
    public static ModuleMember Describe(string name, ITypeSymbol declared, IReadOnlyList<IOperation> values, SourceSpan span, EquatableArray<PlacedStep> steps)
    {
        var type = TypeOf(declared, values);
        var member = new ModuleMember(name, SymbolFacts.ShortName(type), LayerKinds.None, null, null, false, span, steps, default);
        if (SymbolFacts.IsAnyModule(type))
        {
            return member with { Kind = null, IsOpen = true };
        }

        if (!SymbolFacts.IsTorchModule(type))
        {
            return type.Locations.Any(location => location.IsInSource)
                ? member with { ClassName = SymbolFacts.FullName(type), IsOpen = type.IsAbstract }
                : member with { IsOpen = true };
        }

        return type.Name switch
        {
            "Linear" or "Embedding" or "Conv2d" => DescribeLayer(member, type, values),
            "ModuleList" when type is INamedTypeSymbol { TypeArguments: [var item] } => DescribeList(member, item),
            "Sequential" => DescribeSequence(member, values),
            "ModuleDict" => member with { IsOpen = true },
            _ => member,
        };
    }

    /// <summary>The type of the values when they agree, else the declared one.</summary>
    private static ITypeSymbol TypeOf(ITypeSymbol declared, IReadOnlyList<IOperation> values)
    {
        var types = values.Select(value => value.Type!).Distinct<ITypeSymbol>(SymbolEqualityComparer.Default).ToList();
        return types.Count == 1 && SymbolFacts.IsModule(types[0]) ? types[0] : declared;
    }

    private static ModuleMember DescribeLayer(ModuleMember member, ITypeSymbol type, IReadOnlyList<IOperation> values)
    {
        var kind = type.Name switch { "Linear" => LayerKinds.Linear, "Embedding" => LayerKinds.Embedding, _ => LayerKinds.Conv2d };
        var shapes = values.Select(value => LayerShapeReader.Read(value, kind)).Distinct().ToList();
        return member with { Kind = kind, Shape = shapes.Count == 1 ? shapes[0] : null };
    }

    /// <summary>A step on a list of layers is meant for its items.</summary>
    private static ModuleMember DescribeList(ModuleMember member, ITypeSymbol itemType)
    {
        var item = Describe("*", itemType, [], member.Span, default);
        bool takesSteps = item.Kind != LayerKinds.None;
        return member with { Steps = takesSteps ? default : member.Steps, Children = new([takesSteps ? item with { Steps = member.Steps } : item]) };
    }

    private static ModuleMember DescribeSequence(ModuleMember member, IReadOnlyList<IOperation> values)
    {
        if (values is not [IInvocationOperation { Arguments: [{ Value: IArrayCreationOperation { Initializer.ElementValues: var items } }] } call] || !SymbolFacts.IsTorchFactory(call.TargetMethod))
        {
            return member with { IsOpen = true };
        }

        var children = new List<ModuleMember>();
        foreach (var item in items.Select(AssignedValues.Unwrap))
        {
            var (name, value) = item is ITupleOperation { Elements: [{ ConstantValue: { HasValue: true, Value: string text } }, var named] }
                ? (text, AssignedValues.Unwrap(named))
                : (children.Count.ToString(CultureInfo.InvariantCulture), item);
            if (value.Type is not { } type || !SymbolFacts.MayHoldModule(type))
            {
                return member with { IsOpen = true };
            }

            children.Add(Describe(name, type, [value], SymbolFacts.Span(value.Syntax.GetLocation()), default));
        }

        return member with { Children = new(children) };
    }
}
