using System.ComponentModel;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using PipelineDsl.Cli.Projects;
using PipelineDsl.Cli.Recipes;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Formats.Safetensors;
using Spectre.Console;
using Spectre.Console.Cli;

namespace PipelineDsl.Cli.Commands;

/// <summary>Writes a first recipe for a model of a project.</summary>
internal sealed partial class InitCommand(Terminal terminal) : AsyncCommand<InitCommand.Settings>
{
    private const string RecipeFolder = "recipes";

    private bool asks;

    /// <inheritdoc/>
    public override async Task<int> ExecuteAsync(CommandContext context, Settings settings, CancellationToken cancellationToken)
    {
        asks = terminal.AsksQuestions && !settings.Json;
        string project = ProjectFile.Find(settings.Target);
        var contents = ProjectContents.Of(project);
        var goal = settings.Goal is { } word ? Goals[word] : Choose("What shall the model be?", "--goal", [.. Goals.Values], value => Goals.First(item => item.Value == value).Key, project);
        string name = settings.Name ?? goal switch { Goal.Size => "small", Goal.Speed => "fast", _ => "tuned" };
        string file = Path.Combine(contents.Folder, Directory.Exists(Path.Combine(contents.Folder, RecipeFolder)) ? RecipeFolder : "", name + ".recipe.yaml");
        if (File.Exists(file) && !settings.Force)
        {
            throw new PipelineException(DiagnosticIds.FileFailed, $"'{file}' is there already; give the recipe another --name, or overwrite it with --force", file);
        }

        var (classes, usesPackage) = await Classes(project, settings.Configuration, cancellationToken);
        var fit = new WeightsFit(classes);
        string? named = settings.Weights is { } path ? contents.Relative(path, "the weights") : contents.Weights.Count == 1 ? contents.Weights[0] : null;
        var model = Model(classes, settings.Model, candidates => Fitting(candidates, fit, contents, named, project), project);
        string weights = named ?? Weights(contents, fit, model, project);
        bool readsText = contents.HasTokenizer(weights);
        string? training = settings.Data is { } data ? contents.Relative(data, "the data") : contents.TrainingData.FirstOrDefault(file => ProjectContents.IsText(file) == readsText);
        if (goal == Goal.FineTune && training is null)
        {
            throw new PipelineException(DiagnosticIds.CommandNotPossible, "there is nothing to train on; name a text file, a .jsonl file of prompts and answers, or a safetensors file of inputs with --data", project);
        }

        using var store = WeightStore.Open(Path.Combine(contents.Folder, weights));
        var recipe = FirstRecipe.For(name, model.Name, weights, goal, store) with { TrainingData = training, HeldOutData = contents.HeldOutData.FirstOrDefault(file => ProjectContents.IsText(file) == readsText), ReadsText = readsText };
        byte[] text = Encoding.UTF8.GetBytes(recipe.ToString());
        AtomicFile.Write(file, stream => stream.Write(text));
        if (settings.Json)
        {
            terminal.Json(new { Schema = 1, File = file, Recipe = name, Model = model.Name, Weights = weights, Goal = Goals.First(item => item.Value == goal).Key });
        }
        else
        {
            terminal.Line($"{Path.GetRelativePath(Directory.GetCurrentDirectory(), file)}: {model.Name} from {weights}", "green");
            string where = settings.Target is null ? "" : settings.Target.Contains(' ', StringComparison.Ordinal) ? $" \"{settings.Target}\"" : $" {settings.Target}";
            terminal.Line(usesPackage
                ? $"look it over, see what it would do with '{CommandLine.Name} plan{where}', and build it with '{CommandLine.Name} run{where}'"
                : "look it over, and add the package PipelineDsl to the project before you build it");
        }

        return ExitCodes.Fine;
    }

    private static Dictionary<string, Goal> Goals { get; } = new(StringComparer.OrdinalIgnoreCase) { ["size"] = Goal.Size, ["speed"] = Goal.Speed, ["finetune"] = Goal.FineTune };

    /// <summary>The module classes of the project, compiled first where that is due; no model is built for it.</summary>
    private async Task<(IReadOnlyList<ModelClass> Classes, bool UsesPackage)> Classes(string project, string? configuration, CancellationToken cancellation)
    {
        string[] arguments = configuration is null ? [] : [$"-p:Configuration={configuration}"];
        var properties = await Properties(project, arguments, cancellation);
        if (properties["TargetPath"].Length == 0 && properties["TargetFrameworks"].Split(';')[0] is { Length: > 0 } framework)
        {
            arguments = [.. arguments, $"-p:TargetFramework={framework}"];
        }

        var result = await terminal.Follow("compiling", quiet: true, step => Build.Run(project, [.. arguments, "-target:Compile"], step, cancellation));
        if (!result.Succeeded)
        {
            foreach (var diagnostic in result.Diagnostics.Where(diagnostic => diagnostic.Severity == "error"))
            {
                terminal.ReportLine(diagnostic.Text, Severity.Error);
            }

            throw new PipelineException(DiagnosticIds.CommandNotPossible, $"'{Path.GetFileName(project)}' does not compile, so its models cannot be seen; correct that first", project);
        }

        // Once more: what packages add is there only after they are restored.
        properties = await Properties(project, arguments, cancellation);
        bool usesPackage = properties["PipelineDslHostPath"].Length > 0;
        if (!usesPackage)
        {
            terminal.Report(new(DiagnosticIds.CommandNotPossible, Severity.Warning, "the project does not refer to the package PipelineDsl, so its build makes nothing of recipes yet; add it with 'dotnet add package PipelineDsl'", SourceSpan.StartOf(project)));
        }

        string assembly = Path.Combine(Path.GetDirectoryName(project)!, properties["IntermediateOutputPath"].Replace('\\', '/'), properties["TargetFileName"]);
        return File.Exists(assembly)
            ? (ModelScan.Of(assembly, properties["TargetDir"]), usesPackage)
            : throw new PipelineException(DiagnosticIds.CommandNotPossible, $"the build of '{Path.GetFileName(project)}' left no assembly at '{assembly}'; name the project that holds the model", project);
    }

    private static async Task<Dictionary<string, string>> Properties(string project, string[] arguments, CancellationToken cancellation)
    {
        var (succeeded, output) = await Build.Query(project, [.. arguments, "-getProperty:TargetPath", "-getProperty:TargetFrameworks", "-getProperty:TargetDir", "-getProperty:TargetFileName", "-getProperty:IntermediateOutputPath", "-getProperty:PipelineDslHostPath"], cancellation);
        return succeeded
            ? JsonDocument.Parse(output).RootElement.GetProperty("Properties").Deserialize<Dictionary<string, string>>()!
            : throw new PipelineException(DiagnosticIds.CommandNotPossible, $"MSBuild does not understand '{project}': {output.Trim().Split('\n')[0]}; correct that first", project);
    }

    private ModelClass Model(IReadOnlyList<ModelClass> classes, string? wanted, Func<ModelClass[], ModelClass[]> fitting, string project)
    {
        ModelClass[] creatable = [.. classes.Where(type => type.IsCreatable)];
        if (wanted is not null)
        {
            ModelClass[] meant = [.. classes.Where(type => type.Name == wanted || type.Name.EndsWith("." + wanted, StringComparison.Ordinal))];
            return meant switch
            {
                [{ IsCreatable: true } only] => only,
                [{ } only] => throw new PipelineException(DiagnosticIds.ModelNotCreatable, $"'{only.Name}' cannot be created by the build; it must be neither abstract nor generic nor private, with a constructor that needs no arguments", project),
                [] => throw new PipelineException(DiagnosticIds.UnknownModel, $"there is no model '{wanted}' in the project{(NearestName.Find(wanted, creatable.SelectMany(type => (string[])[type.Name, type.Name.Split('.')[^1]])) is { } near ? $"; did you mean '{near}'?" : Known(creatable))}", project),
                _ => throw new PipelineException(DiagnosticIds.UnknownModel, $"'{wanted}' may be {Listed(meant)}; write one of them in full", project),
            };
        }

        if (creatable.Length == 0)
        {
            throw new PipelineException(DiagnosticIds.UnknownModel, $"the project has no class that derives from torch.nn.Module and that the build can create{(classes.Count > 0 ? $" ({Listed(classes)} need arguments, or are abstract, generic or private)" : "")}; add a constructor without parameters", project);
        }

        // A module that others hold is a part of a model.
        ModelClass[] whole = [.. creatable.Where(type => !classes.Any(other => other.Name != type.Name && other.Uses.Contains(type.Name)))];
        return Choose("Which model?", "--model", fitting(whole.Length > 0 ? whole : creatable), type => type.Name, project);
    }

    /// <summary>Of several models those that the weights fit best by the names of their tensors; all where there is nothing to go by.</summary>
    /// <exception cref="PipelineException">PDSL2006: they fit none or several equally well, and nobody is there to choose.</exception>
    private ModelClass[] Fitting(ModelClass[] candidates, WeightsFit fit, ProjectContents contents, string? weights, string project)
    {
        using var store = candidates.Length == 1 || weights is null ? null : OpenOrNull(Path.Combine(contents.Folder, weights));
        if (store is null or { Names.Count: 0 })
        {
            return candidates;
        }

        var fits = candidates.Select(type => (Type: type, Fit: fit.Of(store, type))).ToList();
        double best = fits.Max(item => item.Fit);
        ModelClass[] fitting = best == 0 ? [] : [.. fits.Where(item => item.Fit == best).Select(item => item.Type)];
        return fitting.Length == 1 || asks ? fitting.Length > 0 ? fitting : candidates
            : throw new PipelineException(DiagnosticIds.CommandNotPossible, fitting.Length > 0
                ? $"the weights '{weights}' fit {Listed(fitting)} equally well by the names of their tensors; give --model"
                : $"the weights '{weights}' fit none of {Listed(candidates)}: no tensor, such as '{store.Names[0]}', is named after its members; give --model, or name other weights", project);
    }

    private static WeightStore? OpenOrNull(string path)
    {
        try
        {
            return WeightStore.Open(path);
        }
        catch (PipelineException)
        {
            // Damaged, or none: it may still be named, and is then refused with the reason.
            return null;
        }
    }

    private string Weights(ProjectContents contents, WeightsFit fit, ModelClass model, string project)
    {
        if (contents.Weights.Count == 0)
        {
            string pickles = contents.Pickles.Count > 0 ? $"; '{contents.Pickles[0]}' is a pickle, which may run any code: convert it with Python's safetensors" : "";
            throw new PipelineException(DiagnosticIds.MissingFile, $"the project holds no weights{pickles}; put a .safetensors file, or a folder of shards, into it", project);
        }

        var fits = contents.Weights.Select(path => (Path: path, Fit: Fit(Path.Combine(contents.Folder, path)))).ToList();
        double best = fits.Max(item => item.Fit);
        return Choose("Which weights?", "--weights", [.. fits.Where(item => item.Fit == best).Select(item => item.Path)], path => path, project);

        double Fit(string path)
        {
            using var store = OpenOrNull(path);
            return store is null ? -1 : fit.Of(store, model);
        }
    }

    /// <summary>The only choice, or the one that the user makes.</summary>
    /// <exception cref="PipelineException">PDSL2006: nobody is there to choose.</exception>
    private T Choose<T>(string question, string option, T[] choices, Func<T, string> name, string project)
        where T : notnull =>
        choices.Length == 1 ? choices[0]
        : asks ? terminal.Choose(question, choices, name)
        : throw new PipelineException(DiagnosticIds.CommandNotPossible, $"{option} must be given, because there is more than one choice: {string.Join(", ", choices.Select(name))}", project);

    private static string Known(ModelClass[] classes) => classes.Length == 0 ? "" : $"; there {(classes.Length == 1 ? "is" : "are")} {Listed(classes)}";

    private static string Listed(IEnumerable<ModelClass> classes) => string.Join(", ", classes.Select(type => $"'{type.Name}'"));

    /// <summary>What is written.</summary>
    internal sealed partial class Settings : OutputSettings
    {
        /// <summary>The project.</summary>
        [CommandArgument(0, "[PROJECT]")]
        [Description("A project file or its folder; without it, the project here")]
        public string? Target { get; set; }

        /// <summary>The model.</summary>
        [CommandOption("--model <CLASS>")]
        [Description("The model's class, with or without its namespace")]
        public string? Model { get; set; }

        /// <summary>The weights.</summary>
        [CommandOption("--weights <PATH>")]
        [Description("A .safetensors file of the project, or a folder of shards")]
        public string? Weights { get; set; }

        /// <summary>The goal.</summary>
        [CommandOption("--goal <GOAL>")]
        [Description("size, speed or finetune")]
        public string? Goal { get; set; }

        /// <summary>The data.</summary>
        [CommandOption("--data <FILE>")]
        [Description("What is learned from: text, .jsonl or .safetensors")]
        public string? Data { get; set; }

        /// <summary>The recipe's name.</summary>
        [CommandOption("--name <NAME>")]
        [Description("The recipe's name, which is also the file's")]
        public string? Name { get; set; }

        /// <summary>The configuration.</summary>
        [CommandOption("-c|--configuration <NAME>")]
        [Description("The configuration that is compiled to see the models")]
        public string? Configuration { get; set; }

        /// <summary>Whether an existing file is overwritten.</summary>
        [CommandOption("--force")]
        [Description("Overwrites a recipe that is there")]
        public bool Force { get; set; }

        /// <inheritdoc/>
        public override ValidationResult Validate() =>
            Goal is not null && !Goals.ContainsKey(Goal) ? ValidationResult.Error($"--goal is '{Goal}'; use size, speed or finetune")
            : Name is not null && !RecipeName().IsMatch(Name) ? ValidationResult.Error($"--name is '{Name}'; use letters, digits, '-' and '_'")
            : ValidationResult.Success();

        [GeneratedRegex(@"^[A-Za-z][\w-]*$")]
        private static partial Regex RecipeName();
    }
}
