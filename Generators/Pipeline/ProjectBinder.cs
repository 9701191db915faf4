using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using PipelineDsl.Diagnostics;
using PipelineDsl.Generators.Emit;
using PipelineDsl.Generators.Models;
using PipelineDsl.Recipes;

namespace PipelineDsl.Generators.Pipeline;

/// <summary>Brings recipes and module classes together: from here on there are no symbols and no files, only models.</summary>
internal sealed class ProjectBinder
{
    private readonly List<RecipeDiagnostic> diagnostics = [];
    private readonly ModelIndex models;
    private readonly ProjectOptions options;
    private readonly CancellationToken cancellation;

    private ProjectBinder(IEnumerable<ModuleClass> classes, ProjectOptions options, CancellationToken cancellation)
    {
        models = new(classes);
        this.options = options;
        this.cancellation = cancellation;
    }

    public static BoundProject Bind(IEnumerable<ParsedRecipe> yaml, IEnumerable<AttributeRecipe> attributes, IEnumerable<ModuleClass> classes, ProjectOptions options, CancellationToken cancellation)
    {
        var binder = new ProjectBinder(classes, options, cancellation);
        var pipelines = binder.BindAll(yaml, attributes);
        return new(new(pipelines), new(LayerNames(pipelines)), new(binder.Sorted()));
    }

    private List<PipelineModel> BindAll(IEnumerable<ParsedRecipe> yaml, IEnumerable<AttributeRecipe> attributes)
    {
        diagnostics.AddRange(models.Classes.SelectMany(type => type.Diagnostics));
        var written = attributes.OrderBy(recipe => recipe.ClassName, StringComparer.Ordinal).Select(recipe => WithRules(recipe)).ToList();
        var sources = written.Concat(yaml.OrderBy(recipe => recipe.Draft.Span.Path, StringComparer.Ordinal)).ToList();
        diagnostics.AddRange(sources.SelectMany(source => source.Diagnostics));
        ReportUnreached(written);

        var unique = WithoutDuplicates(sources);
        var byName = unique.Where(item => item.Value.Draft.Name is not null).ToDictionary(item => item.Value.Draft.Name!, item => item.Value, StringComparer.Ordinal);
        var binder = new RecipeBinder(byName, options.AllowOutsidePaths);
        return [.. unique.Select(item => BindOne(item.Key, item.Value, binder, byName)).OfType<PipelineModel>()];
    }

    /// <summary>Gives a recipe in attributes its rules: the steps on the members of the modules it reaches.</summary>
    private ParsedRecipe WithRules(AttributeRecipe recipe)
    {
        if (models.Find(recipe.ClassName) is not { } model)
        {
            string message = $"'{recipe.ClassName}' carries a recipe and is no module; derive it from torch.nn.Module<Tensor, Tensor>";
            return recipe.Parsed with { Diagnostics = new([.. recipe.Parsed.Diagnostics, new(DiagnosticIds.ModelNotCreatable, Severity.Error, message, recipe.Parsed.Draft.Span)]) };
        }

        var tree = models.TreeOf(model);
        var rules = tree.Members.Where(member => member.Steps.Count > 0).Select(member => new Rule(member.Path, member.Steps, member.Steps[0].Span));
        var draft = recipe.Parsed.Draft with { Rules = new(rules) };
        RecipeDiagnostic[] problems = [.. recipe.Parsed.Diagnostics, .. models.ReachedBy(model).Select(models.Find).SelectMany(type => type!.Diagnostics)];
        if (draft.Rules.Count == 0 && problems.Length == 0)
        {
            problems = [new(DiagnosticIds.MissingSetting, Severity.Error, $"the recipe has nothing to do: no layer of '{recipe.ClassName}' carries a step; put one such as [Quantize(Bits = 4)] on a layer", draft.Span)];
        }

        return new(draft, new(problems));
    }

    private List<KeyValuePair<string, ParsedRecipe>> WithoutDuplicates(List<ParsedRecipe> sources)
    {
        var byIdentifier = new Dictionary<string, ParsedRecipe>(StringComparer.OrdinalIgnoreCase);
        var unique = new List<KeyValuePair<string, ParsedRecipe>>();
        foreach (var source in sources)
        {
            if ((source.Draft.Name ?? NameOfFile(source.Draft.Span.Path)) is not { } name)
            {
                continue;
            }

            string identifier = Identifiers.Pascal(name);
            if (!byIdentifier.TryGetValue(identifier, out var first))
            {
                byIdentifier.Add(identifier, source);
                unique.Add(new(name, source));
            }
            else if (source.Draft.Name is not null)
            {
                var at = first.Draft.Span;
                string other = first.Draft.Name is null || first.Draft.Name == name ? "" : $" (as '{first.Draft.Name}', which makes the same class name)";
                diagnostics.Add(new(DiagnosticIds.DuplicateRecipe, Severity.Error, $"there is a recipe '{name}' already{other}, at {options.Relative(at.Path)}({at.Line},{at.Column}); give one of them another name", source.Draft.Span));
            }
        }

        return unique;
    }

    private PipelineModel? BindOne(string name, ParsedRecipe source, RecipeBinder binder, Dictionary<string, ParsedRecipe> byName)
    {
        cancellation.ThrowIfCancellationRequested();
        bool broken = source.HasErrors;
        var recipe = binder.Bind(source, Report);
        int known = diagnostics.Count;
        var model = FindModel(source.Draft, byName, Report);
        bool isGuess = diagnostics.Count > known;
        if (model is null)
        {
            return null;
        }

        if (recipe is not null && model.CreationProblem is { } problem)
        {
            Report(new(DiagnosticIds.ModelNotCreatable, Severity.Error, $"'{model.FullName}' is the model of recipe '{name}' and cannot be created: {problem}", model.Span));
        }

        var tree = models.TreeOf(model);
        if (recipe is not null && !isGuess)
        {
            RecipeResolver.Resolve(recipe, LayerCandidates.Of(tree, recipe.Rules), Report);
        }

        return model.IsNameable ? new(Identifiers.Pascal(name), name, options.Relative(source.Draft.Span.Path), broken ? null : recipe, model, tree) : null;

        void Report(RecipeDiagnostic diagnostic)
        {
            diagnostics.Add(diagnostic);
            broken |= diagnostic.Severity == Severity.Error;
        }
    }

    /// <summary>The recipe's model; where its name is wrong, the one it probably means, so that the code that loads it still compiles.</summary>
    private ModuleClass? FindModel(RecipeDraft draft, Dictionary<string, ParsedRecipe> byName, Action<RecipeDiagnostic> report)
    {
        var seen = new HashSet<RecipeDraft>();
        var owner = draft;
        while (owner.Model is null && owner.Extends is { } extends && seen.Add(owner) && byName.TryGetValue(extends.Text, out var next))
        {
            owner = next.Draft;
        }

        if (owner.Model is not { } written)
        {
            return Probable(byName);
        }

        if (models.Find(written.Text) is { } model)
        {
            return model;
        }

        // A recipe in attributes is written on its model: that it is no module has been reported.
        if (written.Span == draft.Span)
        {
            return null;
        }

        var near = models.Nearest(written.Text);
        if (draft.Model is not null)
        {
            string hint = near is null ? "; write the full name of a class that derives from torch.nn.Module" : $"; did you mean '{near.FullName}'?";
            report(new(DiagnosticIds.UnknownModel, Severity.Error, $"there is no model '{written.Text}' in the project{hint}", written.Span) { Replacement = near?.FullName });
        }

        return near ?? Probable(byName);
    }

    /// <summary>The model of a recipe that names none: that of all other recipes, or the only one there is.</summary>
    private ModuleClass? Probable(Dictionary<string, ParsedRecipe> byName)
    {
        var named = byName.Values.Select(recipe => recipe.Draft.Model).OfType<WrittenText>().Select(name => models.Find(name.Text)).OfType<ModuleClass>().Distinct().Take(2).ToList();
        return named.Count switch { 0 => models.Only(), 1 => named[0], _ => null };
    }

    /// <summary>Steps that no recipe reads are probably a mistake, unless a recipe's model may hold more than the source shows.</summary>
    private void ReportUnreached(List<ParsedRecipe> recipes)
    {
        var roots = recipes.Select(recipe => models.Find(recipe.Draft.Model!.Text)).OfType<ModuleClass>().ToList();
        if (roots.Any(root => models.TreeOf(root).Members.Any(member => member.Path.EndsWith("**", StringComparison.Ordinal))))
        {
            return;
        }

        // Classes that a model holds, and members that it has from bases.
        var reached = new HashSet<string>(roots.SelectMany(models.ReachedBy), StringComparer.Ordinal);
        var read = new HashSet<SourceSpan>(roots.SelectMany(root => models.TreeOf(root).Members).SelectMany(member => member.Steps).Select(step => step.Span));
        foreach (var type in models.Classes.Where(type => !reached.Contains(type.FullName)))
        {
            var step = type.Members.SelectMany(member => member.Steps.Concat(member.Children.SelectMany(child => child.Steps))).FirstOrDefault(candidate => !read.Contains(candidate.Span));
            if (step is not null)
            {
                diagnostics.Add(new(DiagnosticIds.StepWithoutRecipe, Severity.Warning, $"no recipe reads the steps of '{type.FullName}'; put [Recipe] on it or on a model that holds it, or drop them", step.Span));
            }
        }
    }

    private static IEnumerable<LayerNamesModel> LayerNames(List<PipelineModel> pipelines)
    {
        var used = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (var pipeline in pipelines.GroupBy(pipeline => pipeline.Model.FullName, StringComparer.Ordinal).OrderBy(group => group.Key, StringComparer.Ordinal).Select(group => group.First()))
        {
            string name = pipeline.Model.Name + "Layers";
            if (!used.Add(pipeline.Model.Namespace + "." + name))
            {
                name = string.Concat(pipeline.Model.Headers.Select(header => header.Name)) + "Layers";
                used.Add(pipeline.Model.Namespace + "." + name);
            }

            yield return new(name, pipeline.Model, pipeline.Tree);
        }
    }

    private static string? NameOfFile(string path)
    {
        string file = path.Substring(path.LastIndexOfAny(['/', '\\']) + 1);
        string name = file.Substring(0, file.IndexOf('.') is > 0 and var dot ? dot : file.Length);
        return RecipeCatalog.CheckName(name) is null && !file.EndsWith(".cs", StringComparison.OrdinalIgnoreCase) ? name : null;
    }

    /// <summary>One message a place and kind: a pattern that is wrong for many layers is one mistake.</summary>
    private IEnumerable<RecipeDiagnostic> Sorted() => diagnostics
        .GroupBy(problem => (problem.Id, problem.Span))
        .Select(group => group.First())
        .OrderBy(problem => problem.Span.Path, StringComparer.Ordinal)
        .ThenBy(problem => problem.Span.Line)
        .ThenBy(problem => problem.Span.Column)
        .ThenBy(problem => problem.Id, StringComparer.Ordinal);
}
