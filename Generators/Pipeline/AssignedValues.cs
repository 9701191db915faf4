using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Operations;

namespace PipelineDsl.Generators.Pipeline;

/// <summary>What a class assigns to its members, in initializers and constructors.</summary>
internal sealed class AssignedValues
{
    private readonly Dictionary<ISymbol, List<IOperation>> values = new(SymbolEqualityComparer.Default);

    public static AssignedValues Of(INamedTypeSymbol type, Compilation compilation, CancellationToken cancellation)
    {
        var assigned = new AssignedValues();
        foreach (var reference in type.GetMembers().Where(IsRead).SelectMany(member => member.DeclaringSyntaxReferences))
        {
            var syntax = reference.GetSyntax(cancellation);
            var semantics = new Lazy<SemanticModel>(() => compilation.GetSemanticModel(syntax.SyntaxTree));
            assigned.Add(syntax, semantics, cancellation);
        }

        return assigned;
    }

    /// <summary>The values that a member may hold; several when constructors differ.</summary>
    public IReadOnlyList<IOperation> Of(ISymbol member) => values.TryGetValue(member, out var found) ? found : [];

    /// <summary>The operation without the conversions around it.</summary>
    public static IOperation Unwrap(IOperation operation)
    {
        while (operation is IConversionOperation { OperatorMethod: null } conversion)
        {
            operation = conversion.Operand;
        }

        return operation;
    }

    private static bool IsRead(ISymbol member) => member is IFieldSymbol or IPropertySymbol or IMethodSymbol { MethodKind: MethodKind.Constructor };

    private void Add(SyntaxNode syntax, Lazy<SemanticModel> semantics, CancellationToken cancellation)
    {
        switch (syntax)
        {
            case VariableDeclaratorSyntax { Initializer: { } initializer }:
                Add(semantics.Value.GetDeclaredSymbol(syntax, cancellation), initializer.Value, semantics.Value, cancellation);
                break;
            case PropertyDeclarationSyntax { Initializer: { } initializer }:
                Add(semantics.Value.GetDeclaredSymbol(syntax, cancellation), initializer.Value, semantics.Value, cancellation);
                break;
            case ConstructorDeclarationSyntax constructor:
                foreach (var assignment in constructor.DescendantNodes().OfType<AssignmentExpressionSyntax>().Where(node => node.IsKind(SyntaxKind.SimpleAssignmentExpression)))
                {
                    Add(semantics.Value.GetSymbolInfo(assignment.Left, cancellation).Symbol, assignment.Right, semantics.Value, cancellation);
                }

                break;
        }
    }

    private void Add(ISymbol? member, ExpressionSyntax value, SemanticModel semantics, CancellationToken cancellation)
    {
        if (member is not (IFieldSymbol or IPropertySymbol) || semantics.GetOperation(value, cancellation) is not { } operation || Unwrap(operation) is not { Type: not null } known)
        {
            return;
        }

        if (!values.TryGetValue(member, out var list))
        {
            values.Add(member, list = []);
        }

        list.Add(known);
    }
}
