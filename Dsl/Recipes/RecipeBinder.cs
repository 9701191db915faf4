using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Recipes;

/// <summary>Completes drafts: lays a recipe over those it extends and checks what only the whole shows.</summary>
/// <param name="recipes">Every recipe of the project, by name.</param>
/// <param name="allowOutsidePaths">Whether recipes may name files outside the project.</param>
public sealed class RecipeBinder(IReadOnlyDictionary<string, ParsedRecipe> recipes, bool allowOutsidePaths)
{
    private const int NamedRecipes = 5;

    /// <summary>Makes a draft a recipe.</summary>
    /// <param name="parsed">The draft.</param>
    /// <param name="report">Takes each problem that the draft itself is the cause of.</param>
    /// <returns>The recipe, or null when it, or one it extends, lacks what a recipe needs.</returns>
    public Recipe? Bind(ParsedRecipe parsed, Action<RecipeDiagnostic> report)
    {
        var draft = parsed.Draft;
        CheckPaths(draft, report);
        if (Chain(parsed, report) is not { } chain)
        {
            return null;
        }

        var merged = Merge(chain);
        CheckCalibration(parsed, merged, report);
        CheckEffect(parsed, merged, report);
        CheckBudget(draft, merged, report);
        CheckTraining(parsed, merged, report);
        CheckAnalyses(draft, merged, report);
        return merged is not { Name: { } name, Model: { } model, Weights: { } weights } ? null : new Recipe
        {
            Name = name,
            Model = model.Text,
            Weights = weights.Text,
            WeightsSpan = weights.Span,
            Tokenizer = merged.Tokenizer?.Text,
            TokenizerSpan = merged.Tokenizer?.Span,
            Seed = merged.Seed ?? 0,
            Calibrate = merged.Calibrate,
            Evaluate = merged.Evaluate,
            Train = merged.Train,
            Analyze = merged.Analyze ?? default,
            Budget = merged.Budget,
            Allocate = merged.Allocate?.Method ?? AllocationMethod.Predicted,
            Export = merged.Export?.Formats ?? ExportFormats.None,
            ExportSpan = merged.Export?.Span,
            Rules = merged.Rules,
            Span = merged.Span,
        };
    }

    /// <summary>The drafts from the one that stands alone to this one, or null when there is no such chain.</summary>
    private List<RecipeDraft>? Chain(ParsedRecipe parsed, Action<RecipeDiagnostic> report)
    {
        var chain = new List<RecipeDraft> { parsed.Draft };
        while (chain[0].Extends is { } extends)
        {
            if (!recipes.TryGetValue(extends.Text, out var next))
            {
                string[] others = [.. recipes.Keys.Where(name => name != parsed.Draft.Name).OrderBy(name => name, StringComparer.Ordinal)];
                string hint = NearestName.Hint(extends.Text, others);
                hint = hint.Length > 0 ? hint : others.Length == 0 ? "; this is the project's only recipe" : $"; there {(others.Length == 1 ? "is" : "are")} {string.Join(", ", others.Take(NamedRecipes))}{(others.Length > NamedRecipes ? " and others" : "")}";
                if (chain.Count == 1)
                {
                    report(new(DiagnosticIds.UnknownBaseRecipe, Severity.Error, $"there is no recipe '{extends.Text}' to extend{hint}", extends.Span) { Replacement = NearestName.Find(extends.Text, others) });
                }

                return null;
            }

            if (chain.Any(draft => draft.Name == next.Draft.Name))
            {
                // A circle is one mistake: the first of its recipes reports it.
                if (next.Draft == parsed.Draft && chain.All(draft => string.CompareOrdinal(parsed.Draft.Name, draft.Name) <= 0))
                {
                    string circle = string.Join(" → ", chain.AsEnumerable().Reverse().Select(draft => draft.Name).Concat([next.Draft.Name]));
                    report(new(DiagnosticIds.UnknownBaseRecipe, Severity.Error, $"recipes extend each other in a circle: {circle}; let one of them stand alone", parsed.Draft.Extends!.Span));
                }

                return null;
            }

            if (next.HasErrors)
            {
                return null;
            }

            chain.Insert(0, next.Draft);
        }

        return chain;
    }

    private static RecipeDraft Merge(List<RecipeDraft> chain)
    {
        var merged = chain[0];
        for (int level = 1; level < chain.Count; level++)
        {
            merged = Lay(chain[level], merged, level);
        }

        return merged;
    }

    private static RecipeDraft Lay(RecipeDraft top, RecipeDraft below, int level) => top with
    {
        Model = top.Model ?? below.Model,
        Weights = top.Weights ?? below.Weights,
        Tokenizer = top.Tokenizer ?? below.Tokenizer,
        Seed = top.Seed ?? below.Seed,
        Calibrate = top.Calibrate ?? below.Calibrate,
        Evaluate = top.Evaluate ?? below.Evaluate,
        Train = top.Train ?? below.Train,
        Analyze = top.Analyze ?? below.Analyze,
        Budget = top.Budget ?? below.Budget,
        Allocate = top.Allocate ?? below.Allocate,
        Export = top.Export ?? below.Export,
        Rules = new(below.Rules.Concat(top.Rules.Select(rule => rule with { Level = level }))),
    };

    private void CheckPaths(RecipeDraft draft, Action<RecipeDiagnostic> report)
    {
        (WrittenText? Path, Func<string, string?> KindProblem)[] paths =
        [
            (draft.Weights, RecipeCatalog.CheckWeights),
            (draft.Tokenizer, RecipeCatalog.CheckTokenizer),
            (draft.Calibrate is { } calibrate ? new(calibrate.Data, calibrate.DataSpan) : null, RecipeCatalog.CheckData),
            (draft.Evaluate is { } evaluate ? new(evaluate.Data, evaluate.DataSpan) : null, RecipeCatalog.CheckData),
            (draft.Train is { } train ? new(train.Settings.Data, train.DataSpan) : null, RecipeCatalog.CheckData),
            (draft.Train is { Settings.Validation.Length: > 0 } training ? new(training.Settings.Validation, training.SpanOf(nameof(TrainAttribute.Validation))) : null, RecipeCatalog.CheckData),
            .. (draft.Analyze ?? default).SelectMany(analysis => analysis.Analysis.Files.Where(file => file.File.Length > 0).Select(file =>
                ((WrittenText?)new WrittenText(file.File, analysis.SpanOf(file.Setting)), (Func<string, string?>)RecipeCatalog.CheckWeights))),
        ];
        foreach (var (path, kindProblem) in paths)
        {
            if (path is null || path.Text.Length == 0)
            {
                continue;
            }

            if (RecipeCatalog.CheckFile(path.Text) is { } noFile)
            {
                report(new(DiagnosticIds.InvalidValue, Severity.Error, noFile, path.Span));
            }
            else if (kindProblem(path.Text) is { } otherKind)
            {
                // A name is no proof: what the file holds decides when it is read.
                report(new(DiagnosticIds.InvalidValue, Severity.Warning, otherKind, path.Span));
            }
            else if (!allowOutsidePaths && RecipeCatalog.CheckPath(path.Text) is { } problem)
            {
                report(new(DiagnosticIds.PathOutsideProject, Severity.Error, problem, path.Span));
            }
        }
    }

    private static void CheckBudget(RecipeDraft draft, RecipeDraft merged, Action<RecipeDiagnostic> report)
    {
        if (draft.Allocate is { } allocate && merged.Budget is null)
        {
            report(new(DiagnosticIds.MissingSetting, Severity.Error, "'allocate' says how a budget is spent and the recipe has none; add 'budget' or drop it", allocate.Span));
        }
        else if (draft.Allocate is { } measured && measured.Method.IsMeasured() && merged.Calibrate is null)
        {
            report(new(DiagnosticIds.MissingSetting, Severity.Error, $"'allocate: {SettingDescriptor.Format(measured.Method)}' learns from calibration data and the recipe names none; add 'calibrate' with the data to use", measured.Span));
        }

        if (draft.Budget is { } budget && merged.Rules.Count > 0 && !merged.Rules.Any(rule => rule.Steps.Any(step => step.Step.IsOpen)))
        {
            report(new(DiagnosticIds.ContradictorySettings, Severity.Error, $"the budget '{budget.Text}' has nothing left to choose, because every step names its own numbers; leave 'rank' out of a 'decompose' step or 'bits' out of a 'quantize' step, or drop the budget", budget.Span));
        }
    }

    private static void CheckTraining(ParsedRecipe parsed, RecipeDraft merged, Action<RecipeDiagnostic> report)
    {
        // A step that could not be read is not there, and may be the one that is trained.
        var draft = parsed.Draft;
        if (!parsed.HasErrors && draft.Train is { } train && merged.Rules.Count > 0 && !merged.Rules.Any(rule => rule.Steps.Any(step => step.Step.IsTrained)))
        {
            report(new(DiagnosticIds.MissingSetting, Severity.Error, "'train' has nothing to train, for no step leaves anything open; give layers an adapter such as 'lora: { rank: 8 }', or drop 'train'", train.Span));
        }

        foreach (var step in draft.Rules.SelectMany(rule => rule.Steps).Where(step => merged.Train is null && step.Step.Stage == Stage.Adapt))
        {
            report(new(DiagnosticIds.MissingSetting, Severity.Error, $"'{StepCatalog.Of(step.Step).Name}' is trained and the recipe does not train; add 'train' with the data to use", step.Span));
        }
    }

    private static void CheckAnalyses(RecipeDraft draft, RecipeDraft merged, Action<RecipeDiagnostic> report)
    {
        foreach (var analysis in draft.Analyze ?? default)
        {
            foreach (var problem in analysis.Analysis.Check(new HashSet<string>(analysis.Given.Select(given => given.Name)), merged.Train is not null))
            {
                report(new(problem.Id, Severity.Error, problem.Message, analysis.SpanOf(problem.Setting)));
            }
        }
    }

    private void CheckCalibration(ParsedRecipe parsed, RecipeDraft merged, Action<RecipeDiagnostic> report)
    {
        var draft = parsed.Draft;
        foreach (var step in draft.Rules.SelectMany(rule => rule.Steps).Where(step => merged.Calibrate is null && step.Step.NeedsCalibration))
        {
            string name = StepCatalog.Of(step.Step).Name;
            report(new(DiagnosticIds.MissingSetting, Severity.Error, $"'{name}' learns from calibration data and the recipe names none; add 'calibrate' with the data to use", step.Span));
        }

        if (draft.Calibrate is { } calibrate && !parsed.HasErrors && merged.Rules.Count > 0 && !Learns(merged) && !recipes.Values.Any(other => MayLearnFrom(calibrate, other)))
        {
            report(new(DiagnosticIds.WithoutEffect, Severity.Warning, "'calibrate' has no effect: no step of the recipe learns from data, and no budget is shared out by it; drop it, or give layers a step that does, such as 'gptq'", calibrate.Span));
        }
    }

    /// <summary>A recipe that changes nothing may still measure, look for something, export, or be where others start from.</summary>
    private void CheckEffect(ParsedRecipe parsed, RecipeDraft merged, Action<RecipeDiagnostic> report)
    {
        if (!parsed.HasErrors && parsed.Draft.Rules.Count > 0 && merged is { Evaluate: null, Export: null, Analyze: null or { Count: 0 } }
            && merged.Rules.All(rule => rule.Steps.All(step => step.Step is Keep)) && !recipes.Values.Any(other => other.Draft.Extends is not null))
        {
            report(new(DiagnosticIds.WithoutEffect, Severity.Warning, "the recipe changes nothing, for every entry keeps its layers; add an entry with steps, or drop the recipe", parsed.Draft.Rules[0].Span));
        }
    }

    /// <summary>Whether a recipe starts from one with this calibration, and may learn from it. Of one that is wrong nobody knows.</summary>
    private bool MayLearnFrom(Calibration calibrate, ParsedRecipe other) => other.Draft.Extends is not null
        && (other.HasErrors || Chain(other, _ => { }) is not { } chain || (Merge(chain) is var merged && merged.Calibrate == calibrate && Learns(merged)));

    /// <summary>Whether calibration data changes anything: steps learn from it, or a budget is shared out by what the model loses on it.</summary>
    private static bool Learns(RecipeDraft merged) => merged.Rules.Any(rule => rule.Steps.Any(step => step.Step.NeedsCalibration))
        || (merged.Budget is not null && (merged.Allocate?.Method ?? AllocationMethod.Predicted).LearnsFromData());
}
