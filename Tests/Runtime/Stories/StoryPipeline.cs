using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using Stories.Model;

namespace PipelineDsl.Runtime.Tests.Stories;

/// <summary>What the generator would emit for a recipe without steps.</summary>
internal sealed class StoryPipeline : ModelPipeline<StoryLlama>
{
    public override Recipe Recipe { get; } = new()
    {
        Name = "stories",
        Model = typeof(StoryLlama).FullName!,
        Weights = "weights/model.safetensors",
        Span = SourceSpan.StartOf("StoryLlama.cs"),
        WeightsSpan = SourceSpan.StartOf("StoryLlama.cs"),
    };

    public override StoryLlama CreateModel() => StoryFiles.Model();
}
