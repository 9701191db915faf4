using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Tests.Engine;
using PipelineDsl.Runtime.Tests.Stories;

namespace PipelineDsl.Runtime.Tests.Vision;

/// <summary>What factored convolutions cost a real network, through the engine that the build uses.</summary>
public sealed class ResNet20Tests(ITestOutputHelper output)
{
    private const string Convolutions = "layer*.**.conv*";

    [Fact]
    public void Factored_convolutions_keep_more_accuracy_when_they_know_their_patches()
    {
        string weights = Data("cifar10-resnet/resnet20.safetensors");
        using var project = new TwoLayersProject();
        CifarImages.Write(Data("cifar10-sample/train.bin"), project.In("train.safetensors"));
        CifarImages.Write(Data("cifar10-sample/test.bin"), project.In("test.safetensors"));

        var plain = Compress(project, weights, new Decompose { KeepRatio = 0.6 });
        var whitened = Compress(project, weights, new Decompose { KeepRatio = 0.6, Orientation = Orientation.Whitened });

        plain.Before.ShouldBe(0.804, 0.0005);
        whitened.After.ShouldBeGreaterThanOrEqualTo(plain.After);
    }

    private QualityRecord Compress(TwoLayersProject project, string weights, Decompose step)
    {
        var recipe = TwoLayersProject.Recipe((Convolutions, [step])) with
        {
            Model = typeof(ResNet20).FullName!,
            Weights = weights,
            Calibrate = new("train.safetensors", 100, 2, TwoLayersProject.Span(3), TwoLayersProject.Span(3)),
            Evaluate = new("test.safetensors", Metric.Accuracy, 2, null, TwoLayersProject.Span(4), TwoLayersProject.Span(4)),
        };
        var manifest = project.NewRun(updateLock: true).Execute(new ResNet20Pipeline(recipe)).Manifest;
        output.WriteLine($"{step}: {manifest.Bytes.Before} -> {manifest.Bytes.After} bytes, accuracy {manifest.Quality!.Before:0.000} -> {manifest.Quality.After:0.000}");
        return manifest.Quality;
    }

    private static string Data(string relativePath)
    {
        string path = StoryFiles.Large(relativePath);
        Assert.SkipUnless(File.Exists(path), $"'{relativePath}' is not in the data folder");
        return path;
    }
}
