using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Formats.Tokenizers;
using Stories.Model;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Stories;

/// <summary>The sample's model and data, and a larger model where the data folder is at hand.</summary>
internal static class StoryFiles
{
    public const string DataVariable = "PIPELINEDSL_DATA";

    public static string TestText => In("test.txt");

    public static string TokenizerPath => In("tokenizer.json");

    public static Tokenizer OpenTokenizer() => Tokenizer.Open(TokenizerPath);

    public static StoryLlama Model() => Loaded(new StoryLlama(), In("model.safetensors"));

    /// <summary>A path in the folder of test data that is too large for the repository; skips the test where there is none.</summary>
    public static string Large(string relativePath)
    {
        string? folder = Environment.GetEnvironmentVariable(DataVariable);
        Assert.SkipWhen(string.IsNullOrEmpty(folder), $"{DataVariable} does not name the folder that holds gsmbard-4m and text-tinyshakespeare");
        return Path.Combine(folder!, relativePath);
    }

    public static StoryLlama Loaded(StoryLlama model, string path)
    {
        using var weights = WeightStore.Open(path);
        using var noGradients = no_grad();
        var members = model.state_dict();
        members.Keys.Order(StringComparer.Ordinal).ShouldBe(weights.Names);
        foreach (var (name, member) in members)
        {
            using var value = weights.Read(name);
            member.copy_(value);
        }

        model.eval();
        return model;
    }

    public static string Folder => Path.Combine(AppContext.BaseDirectory, "Stories");

    public static string In(string file) => Path.Combine(Folder, file);
}
