using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Text;
using PipelineDsl.Runtime;

namespace PipelineDsl.Generators.Tests;

/// <summary>A project in memory that the generator runs on, edit by edit.</summary>
internal sealed class GeneratorRun
{
    private const string Root = "/project/";

    /// <summary>Stands in for the runtime's loader where this tree does not have it yet.</summary>
    private const string ArtifactLoader = """
        namespace PipelineDsl.Runtime;
        public static class ArtifactLoader
        {
            public static TModel Load<TModel>(ModelPipeline<TModel> pipeline, string? path) where TModel : TorchSharp.torch.nn.Module => pipeline.CreateModel();
        }
        """;

    public static readonly ImmutableArray<MetadataReference> References =
        [.. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Select(path => MetadataReference.CreateFromFile(path))];

    private readonly CSharpParseOptions parse;
    private CSharpCompilation compilation;
    private GeneratorDriver driver;
    private ImmutableArray<AdditionalText> files = [];

    public GeneratorRun(LanguageVersion version = LanguageVersion.Preview, params (string Name, string Value)[] properties)
        : this(version, track: true, properties)
    {
    }

    /// <summary>Makes an empty project.</summary>
    /// <param name="version">The language's version.</param>
    /// <param name="track">Whether the driver remembers why each step ran, which takes its time.</param>
    /// <param name="properties">The build's properties.</param>
    public GeneratorRun(LanguageVersion version, bool track, params (string Name, string Value)[] properties)
    {
        parse = new CSharpParseOptions(version, DocumentationMode.Diagnose);
        compilation = CSharpCompilation.Create("Consumer", [], References, new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, nullableContextOptions: NullableContextOptions.Enable));
        if (typeof(IModelPipeline).Assembly.GetType("PipelineDsl.Runtime.ArtifactLoader") is null)
        {
            Source("ArtifactLoader.cs", ArtifactLoader);
        }

        driver = CSharpGeneratorDriver.Create(
            [new RecipeGenerator().AsSourceGenerator()],
            parseOptions: parse,
            optionsProvider: new Options([("build_property.ProjectDir", Root), .. properties]),
            driverOptions: new GeneratorDriverOptions(IncrementalGeneratorOutputKind.None, trackIncrementalGeneratorSteps: track));
    }

    /// <summary>Adds or replaces a C# file.</summary>
    public GeneratorRun Source(string file, string text)
    {
        var tree = CSharpSyntaxTree.ParseText(text.ReplaceLineEndings("\n"), parse, Root + file, System.Text.Encoding.UTF8);
        var old = compilation.SyntaxTrees.FirstOrDefault(known => known.FilePath == tree.FilePath);
        compilation = old is null ? compilation.AddSyntaxTrees(tree) : compilation.ReplaceSyntaxTree(old, tree);
        return this;
    }

    /// <summary>Adds or replaces a recipe.</summary>
    public GeneratorRun Recipe(string file, string text) => RawRecipe(file, text.ReplaceLineEndings("\n"));

    /// <summary>Adds or replaces a recipe, with the line ends that it has.</summary>
    public GeneratorRun RawRecipe(string file, string text)
    {
        var added = new RecipeText(Root + file, text);
        var old = files.FirstOrDefault(known => known.Path == added.Path);
        driver = old is null ? driver.AddAdditionalTexts([added]) : driver.ReplaceAdditionalText(old, added);
        files = old is null ? files.Add(added) : files.Replace(old, added);
        return this;
    }

    /// <summary>Runs the generator and nothing else, as the compiler does on every edit.</summary>
    public void Drive() => driver = driver.RunGenerators(compilation);

    /// <summary>The time that the last run spent in the generator.</summary>
    public TimeSpan Time => driver.GetTimingInfo().GeneratorTimes.Single().ElapsedTime;

    /// <summary>Makes the compiler know the edited code, which it does for itself on every edit.</summary>
    public void Settle() => compilation.GetDiagnostics();

    public GeneratorResult Run()
    {
        driver = driver.RunGeneratorsAndUpdateCompilation(compilation, out var output, out _);
        return new(driver.GetRunResult().Results.Single(), output);
    }

    private sealed class RecipeText(string path, string text) : AdditionalText
    {
        public override string Path => path;

        public override SourceText GetText(CancellationToken cancellationToken = default) => SourceText.From(text, System.Text.Encoding.UTF8);
    }

    private sealed class Options((string Name, string Value)[] properties) : AnalyzerConfigOptionsProvider
    {
        public override AnalyzerConfigOptions GlobalOptions { get; } = new Values(properties);

        public override AnalyzerConfigOptions GetOptions(SyntaxTree tree) => new Values([]);

        public override AnalyzerConfigOptions GetOptions(AdditionalText textFile) =>
            new Values(textFile.Path.EndsWith(".recipe.yaml", StringComparison.Ordinal) ? [("build_metadata.AdditionalFiles.PipelineRecipe", "true")] : []);
    }

    private sealed class Values((string Name, string Value)[] values) : AnalyzerConfigOptions
    {
        public override bool TryGetValue(string key, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out string? value)
        {
            value = values.FirstOrDefault(item => item.Name == key).Value;
            return value is not null;
        }
    }
}
