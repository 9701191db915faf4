using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Operations;
using PipelineDsl.Generators.Diagnostics;
using PipelineDsl.Generators.Pipeline;

namespace PipelineDsl.Generators.Analyzers;

/// <summary>Finds <c>child.forward(x)</c> in the modules of a recipe's model: calibration and adapters stand on hooks, which run on <c>call</c> alone.</summary>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class ForwardCallAnalyzer : DiagnosticAnalyzer
{
    private const int MaxNameLength = 40;

    /// <inheritdoc/>
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } = ImmutableArray.Create(DiagnosticDescriptors.ForwardPassesHooks);

    /// <inheritdoc/>
    public override void Initialize(AnalysisContext context)
    {
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.EnableConcurrentExecution();
        context.RegisterCompilationStartAction(static start =>
        {
            var reached = new ReachedModules(start.Compilation, start.Options, start.CancellationToken);
            start.RegisterOperationAction(operation => Check(operation, reached), OperationKind.Invocation);
        });
    }

    private static void Check(OperationAnalysisContext context, ReachedModules reached)
    {
        var call = (IInvocationOperation)context.Operation;
        if (SymbolFacts.IsForward(call.TargetMethod) &&
            call.Instance is { Type: { } type } instance && AssignedValues.Unwrap(instance) is not IInstanceReferenceOperation && SymbolFacts.MayHoldLayers(type) &&
            NameOf(call.Syntax) is { } name &&
            context.ContainingSymbol.ContainingType is { } owner && SymbolFacts.IsModule(owner) && reached.Contains(owner))
        {
            string text = (instance.Syntax.Parent is ParenthesizedExpressionSyntax whole ? whole : instance.Syntax).ToString();
            string child = text.Length <= MaxNameLength && text.IndexOf('\n') < 0 ? text : SymbolFacts.ShortName(type);
            context.ReportDiagnostic(Diagnostic.Create(
                DiagnosticDescriptors.ForwardPassesHooks,
                name.GetLocation(),
                $"'{child}.forward' runs no hooks, so the pipeline neither sees what flows through '{child}' nor can adapt it; write '{child}.call'"));
        }
    }

    private static SimpleNameSyntax? NameOf(SyntaxNode invocation) => invocation is InvocationExpressionSyntax { Expression: var called }
        ? called switch
        {
            MemberAccessExpressionSyntax member => member.Name,
            MemberBindingExpressionSyntax binding => binding.Name,
            _ => null,
        }
        : null;
}
