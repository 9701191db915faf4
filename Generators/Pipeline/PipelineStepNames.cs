namespace PipelineDsl.Generators.Pipeline;

/// <summary>The names under which the compiler tracks the generator's steps.</summary>
internal static class PipelineStepNames
{
    public const string ProjectOptions = nameof(ProjectOptions);
    public const string LanguageFacts = nameof(LanguageFacts);
    public const string YamlRecipes = nameof(YamlRecipes);
    public const string AttributeRecipes = nameof(AttributeRecipes);
    public const string ModuleClasses = nameof(ModuleClasses);
    public const string BoundProject = nameof(BoundProject);
    public const string Diagnostics = nameof(Diagnostics);
    public const string Pipelines = nameof(Pipelines);
    public const string LayerNames = nameof(LayerNames);
    public const string StrayWords = nameof(StrayWords);
}
