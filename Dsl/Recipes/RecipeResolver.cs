using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Recipes;

/// <summary>Decides which layer gets which steps, and finds everything about it that cannot be right.</summary>
/// <remarks>The compiler runs it on what the source shows, the host on the model itself: one truth, the same messages.</remarks>
public static class RecipeResolver
{
    private const int NamedLayers = 3;

    /// <summary>Applies a recipe's rules to layers.</summary>
    /// <param name="recipe">The recipe.</param>
    /// <param name="layers">Every module of the model, compressible or not.</param>
    /// <param name="report">Takes each problem once, however many layers have it.</param>
    /// <returns>The layers that get steps, in the order of <paramref name="layers"/>.</returns>
    public static IReadOnlyList<ResolvedLayer> Resolve(Recipe recipe, IReadOnlyList<LayerCandidate> layers, Action<RecipeDiagnostic> report)
    {
        var problems = new List<RecipeDiagnostic>();
        string[][] paths = [.. layers.Select(layer => layer.Path.Split('.'))];
        var matches = recipe.Rules.Select(rule => new RuleMatches(rule, Match(rule, layers, paths, problems.Add))).ToList();
        var resolved = new List<ResolvedLayer>();
        CheckAnalyses(recipe, layers, paths, problems.Add);
        foreach (var layer in layers.Where(layer => !layer.IsOpen))
        {
            var rules = matches.Where(match => match.Layers.Contains(layer)).Select(match => match.Rule).ToList();
            if (rules.Count > 0)
            {
                resolved.AddRange(Chain(recipe, layer, rules, problems.Add) is { } chain ? [chain] : []);
            }
            else if (layer.Kind is { } kind && recipe.Analyze.FirstOrDefault(analysis => analysis.Analysis.EditsUntouched(layer.Path, kind)) is { } editor)
            {
                resolved.Add(new(layer, default, editor.Span) { IsEdited = true });
            }
        }

        FindIdle(matches, problems.Add);
        CheckStacks(resolved, problems.Add);
        foreach (var same in problems.GroupBy(problem => (problem.Id, problem.Span)))
        {
            int others = same.Count() - 1;
            report(others == 0 ? same.First() : same.First() with { Message = $"{same.First().Message}; the same for {others} more {(others == 1 ? "layer" : "layers")}" });
        }

        return resolved;
    }

    private static void CheckAnalyses(Recipe recipe, IReadOnlyList<LayerCandidate> layers, string[][] paths, Action<RecipeDiagnostic> report)
    {
        foreach (var analysis in recipe.Analyze)
        {
            foreach (var (setting, text) in analysis.Analysis.Patterns)
            {
                var named = Named(text, analysis.SpanOf(setting), layers, paths, report);
                if (named.Count > 0 && analysis.Analysis.NamesLinear(setting) && !named.Any(layer => layer.Kind is null or LayerKinds.Linear))
                {
                    report(new(DiagnosticIds.NotCompressible, Severity.Error, $"'{AnalysisCatalog.Of(analysis.Analysis).Name}' looks at Linear layers only, and '{text}' matches '{named[0].Path}' ({named[0].TypeName}){(named.Count > 1 ? " and others" : "")}; name Linear layers", analysis.SpanOf(setting)));
                }
            }
        }
    }

    private static HashSet<LayerCandidate> Match(Rule rule, IReadOnlyList<LayerCandidate> layers, string[][] paths, Action<RecipeDiagnostic> report)
    {
        var named = Named(rule.Match, rule.Span, layers, paths, report);
        if (named.Count == 0)
        {
            return [];
        }

        var usable = named.Where(layer => rule.Steps.Any(step => Fits(step.Step, layer))).ToList();
        if (usable.Count == 0 && rule.Steps.Count > 0)
        {
            string works = string.Join(", ", rule.Steps.GroupBy(step => step.Step.AppliesTo).Select(same =>
                $"{string.Join(" and ", same.Select(step => $"'{StepCatalog.Of(step.Step).Name}'"))} {(same.Count() == 1 ? "works" : "work")} on {Kinds(same.Key)} only"));
            string seen = string.Join(", ", named.Take(3).Select(layer => $"'{layer.Path}' ({layer.TypeName})"));
            report(new(DiagnosticIds.NotCompressible, Severity.Error, $"{works}, and '{rule.Match}' matches {seen}{(named.Count > 3 ? " and others" : "")}; {Deeper(named, layers)}", rule.Span));
        }

        foreach (var step in usable.Count == 0 ? [] : rule.Steps.Where(step => !named.Any(layer => Fits(step.Step, layer))))
        {
            report(new(DiagnosticIds.WithoutEffect, Severity.Warning, $"'{StepCatalog.Of(step.Step).Name}' changes no layer: it works on {Kinds(step.Step.AppliesTo)} only, and '{rule.Match}' matches none; drop it or widen the pattern", step.Span));
        }

        return [.. usable];
    }

    /// <summary>What to write in place of a pattern that names modules without a weight: that of the layers below one.</summary>
    private static string Deeper(List<LayerCandidate> named, IReadOnlyList<LayerCandidate> layers)
    {
        string? container = named.Select(module => module.Path).FirstOrDefault(path => layers.Any(layer => layer.Kind is not LayerKinds.None && layer.Path.StartsWith(path + ".", StringComparison.Ordinal)));
        return container is null ? "name a layer that has a weight of that kind" : $"name a layer that has a weight of that kind, or all below it with \"{container}.**\"";
    }

    /// <summary>Entries whose every layer is kept by others: <c>keep</c> wins over all steps, wherever it stands. That a recipe overrides the one it extends is no mistake.</summary>
    private static void FindIdle(List<RuleMatches> matches, Action<RecipeDiagnostic> report)
    {
        int level = matches.Select(match => match.Rule.Level).DefaultIfEmpty().Max();
        var own = matches.Where(match => match.Rule.Level == level).ToList();
        var keeping = own.Where(match => match.Rule.Steps.Any(step => step.Step is Keep)).ToList();
        FindRepeatedKeeping(keeping, report);
        foreach (var idle in own.Except(keeping).Where(match => match.Layers.Count > 0 && match.Layers.All(layer => !layer.IsOpen && keeping.Any(keeper => keeper.Layers.Contains(layer)))))
        {
            var keeper = keeping.First(keeper => keeper.Layers.Contains(idle.Layers.First()));
            report(new(DiagnosticIds.WithoutEffect, Severity.Warning, $"'{idle.Rule.Match}' changes no layer: all that it matches is kept {Place(keeper.Rule.Span, idle.Rule.Span)}; drop this entry or narrow the one that keeps", idle.Rule.Span));
        }
    }

    private static void FindRepeatedKeeping(List<RuleMatches> keeping, Action<RecipeDiagnostic> report)
    {
        foreach (var same in keeping.GroupBy(match => match.Rule.Match, StringComparer.Ordinal))
        {
            PlacedStep[] keeps = [.. same.SelectMany(match => match.Rule.Steps).Where(step => step.Step is Keep)];
            foreach (var again in keeps.Skip(1))
            {
                report(new(DiagnosticIds.WithoutEffect, Severity.Warning, $"'{same.Key}' is kept {Place(keeps[0].Span, again.Span)} already; drop one of them", again.Span));
            }
        }
    }

    /// <summary>All stacks of a model get one order.</summary>
    private static void CheckStacks(List<ResolvedLayer> resolved, Action<RecipeDiagnostic> report)
    {
        var stacks = resolved.SelectMany(layer => layer.Steps.Where(step => step.Step is IStackStep).Select(step => (layer.Layer.Path, Placed: step, Stack: (IStackStep)step.Step)))
            .OrderBy(stack => stack.Placed.Span.Line).ThenBy(stack => stack.Placed.Span.Column).ToList();
        foreach (var (path, placed, stack) in stacks.Where(other => other.Stack.Order != stacks[0].Stack.Order || other.Stack.ScoringSamples != stacks[0].Stack.ScoringSamples))
        {
            string setting = stack.Order != stacks[0].Stack.Order ? nameof(IStackStep.Order) : nameof(IStackStep.ScoringSamples);
            report(new(DiagnosticIds.ContradictorySettings, Severity.Error, $"'{SettingDescriptor.CamelCase(setting)}' holds for the whole model, and '{path}' has another than '{stacks[0].Path}' {Place(stacks[0].Placed.Span, placed.Span)}; give all layers the same", placed.SpanOf(setting)));
        }
    }

    /// <summary>What a pattern matches; nothing, reported, is a mistake.</summary>
    private static List<LayerCandidate> Named(string text, SourceSpan span, IReadOnlyList<LayerCandidate> layers, string[][] paths, Action<RecipeDiagnostic> report)
    {
        LayerPattern pattern;
        try
        {
            pattern = new LayerPattern(text);
        }
        catch (FormatException problem)
        {
            report(new(DiagnosticIds.InvalidValue, Severity.Error, problem.Message, span));
            return [];
        }

        var named = layers.Where((_, index) => pattern.Matches(paths[index])).ToList();
        if (named.Count == 0)
        {
            string? near = NearestName.Find(text, layers.Where(layer => !layer.IsOpen).Select(layer => layer.Path));
            report(new(DiagnosticIds.PatternMatchesNothing, Severity.Error, $"'{text}' matches no member of the model{(near is null ? Members(layers) : NearestName.Hint(near))}{(near is null && text.Any(sign => !IsPatternSign(sign)) ? "; in a pattern only *, ** and {a,b} have a meaning" : "")}", span) { Replacement = near });
        }

        return named;
    }

    private static bool IsPatternSign(char sign) => char.IsLetterOrDigit(sign) || sign is '_' or '-' or '.' or '*' or '{' or '}';

    /// <summary>What there is, where no name is near.</summary>
    private static string Members(IReadOnlyList<LayerCandidate> layers)
    {
        var compressible = layers.Where(layer => !layer.IsOpen && layer.Kind is not LayerKinds.None).Select(layer => $"'{layer.Path}'").ToList();
        return compressible.Count == 0 ? "; it has none that steps work on" : $"; its layers are {string.Join(", ", compressible.Take(NamedLayers))}{(compressible.Count > NamedLayers ? " and others" : "")}";
    }

    private static ResolvedLayer? Chain(Recipe recipe, LayerCandidate layer, List<Rule> rules, Action<RecipeDiagnostic> report)
    {
        int level = rules.Max(rule => rule.Level);
        var winners = rules.Where(rule => rule.Level == level).ToList();
        if (winners.Count < rules.Count)
        {
            var loser = rules.First(rule => rule.Level < level);
            report(new(DiagnosticIds.OverriddenLayer, Severity.Info, $"'{layer.Path}' follows this rule instead of the one {Place(loser.Span, winners[0].Span)}", winners[0].Span));
        }

        var steps = winners.SelectMany(rule => rule.Steps.Where(step => Fits(step.Step, layer)).Select(step => (rule, step))).ToList();
        if (steps.Any(item => item.step.Step is Keep))
        {
            var mixed = winners.FirstOrDefault(rule => rule.Steps.Any(step => step.Step is Keep) && rule.Steps.Any(step => step.Step is not Keep));
            if (mixed is not null)
            {
                report(new(DiagnosticIds.ContradictorySteps, Severity.Error, $"'{layer.Path}' is to be kept and changed at once; drop 'keep' or the other steps", mixed.Steps.First(step => step.Step is not Keep).Span));
            }

            return new(layer, default, steps.First(item => item.step.Step is Keep).rule.Span);
        }

        var chain = new List<PlacedStep>();
        foreach (var (_, step) in steps.OrderBy(item => item.step.Step.Stage))
        {
            if (chain.LastOrDefault() is { } before && before.Step.Stage == step.Step.Stage)
            {
                string first = StepCatalog.Of(before.Step).Name;
                string second = StepCatalog.Of(step.Step).Name;
                report(new(DiagnosticIds.ContradictorySteps, Severity.Error, $"'{layer.Path}' gets '{second}' here and '{first}' {Place(before.Span, step.Span)}, which exclude each other; narrow one of the patterns or add 'keep'", step.Span));
                return null;
            }

            if (chain.LastOrDefault() is { Step: { EndsChain: true } last })
            {
                report(new(DiagnosticIds.ContradictorySteps, Severity.Error, $"'{layer.Path}' gets '{StepCatalog.Of(step.Step).Name}' after '{StepCatalog.Of(last).Name}', which leaves nothing for it to work on; narrow one of the patterns or drop one of the steps", step.Span));
                return null;
            }

            if (chain.LastOrDefault() is { } below && Conflict(below.Step, step.Step) is { } reason)
            {
                report(new(DiagnosticIds.ContradictorySteps, Severity.Error, $"'{layer.Path}' gets '{StepCatalog.Of(step.Step).Name}' after '{StepCatalog.Of(below.Step).Name}': {reason}", step.Span));
                return null;
            }

            chain.Add(step);
            foreach (var problem in step.Step.Check(layer.Shape, new HashSet<string>(step.Given.Select(given => given.Name))).Where(problem => !IsLeftToBudget(recipe, step.Step, problem)))
            {
                var severity = problem.Id == DiagnosticIds.RankSavesNothing ? Severity.Warning : Severity.Error;
                report(new(problem.Id, severity, problem.Setting is null || layer.Shape is null ? problem.Message : $"{problem.Message} (layer '{layer.Path}')", step.SpanOf(problem.Setting)) { Replacement = step.Given.Any(given => given.Name == problem.Setting) ? problem.Replacement : null });
            }
        }

        return new(layer, new(chain), steps[0].rule.Span);
    }

    /// <summary>Why an adapter cannot stand on what a step leaves, or null.</summary>
    private static string? Conflict(Step before, Step step) => step is not Adapt adapter ? null
        : before.IsTrained ? "both leave numbers to train; drop one of them"
        : !adapter.KeepsBase ? "it makes the layer's weight dense again; drop one of them, or take 'lora' with 'start: uniform', which leaves the weight as it is"
        : null;

    private static bool IsLeftToBudget(Recipe recipe, Step step, StepProblem problem) => recipe.Budget is not null && step.IsOpen && problem.Id == DiagnosticIds.MissingSetting;

    private static bool Fits(Step step, LayerCandidate layer) => layer.Kind is not { } kind || (kind & step.AppliesTo) != 0;

    /// <summary>Another place, as a reader of this one finds it.</summary>
    private static string Place(SourceSpan there, SourceSpan here) => there.Path == here.Path
        ? $"on line {there.Line}"
        : $"in {there.Path.Substring(there.Path.LastIndexOfAny(['/', '\\']) + 1)} on line {there.Line}";

    private static string Kinds(LayerKinds kinds) => kinds == LayerKinds.All ? "Linear, Embedding and Conv2d" : kinds.ToString().Replace(", ", " and ");

    private sealed record RuleMatches(Rule Rule, HashSet<LayerCandidate> Layers);
}
