using System.Text;
using System.Text.Json;
using PipelineDsl.Runtime.Tests.Stories;
using Stories.Model;

namespace PipelineDsl.Benchmarks;

/// <summary>A model with the texts that it is calibrated and measured on.</summary>
/// <param name="Name">The model and the text.</param>
/// <param name="Config">Its sizes.</param>
/// <param name="Weights">The weights.</param>
/// <param name="Tokenizer">The tokenizer.</param>
/// <param name="Train">The text that statistics come from.</param>
/// <param name="Test">The text that perplexity is measured on.</param>
internal sealed record LeaderboardModel(string Name, LlamaConfig Config, string Weights, string Tokenizer, string Train, string Test)
{
    private const string DataVariable = "PIPELINEDSL_DATA";

    /// <summary>The sample's model and, where PIPELINEDSL_DATA names the folder of larger data, gsmbard-4m on both of its texts.</summary>
    /// <param name="folder">Where converted texts go.</param>
    public static IReadOnlyList<LeaderboardModel> All(string folder)
    {
        string Sample(string file) => Path.Combine(AppContext.BaseDirectory, "Stories", file);
        var models = new List<LeaderboardModel> { new("stories260k", LlamaConfig.Stories260K, Sample("model.safetensors"), Sample("tokenizer.json"), Sample("train.txt"), Sample("test.txt")) };
        if (Environment.GetEnvironmentVariable(DataVariable) is { Length: > 0 } data)
        {
            string Bard(string file) => Path.Combine(data, "gsmbard-4m", file);
            models.Add(new("gsmbard-4m-shakespeare", StoryModel.GsmBardConfig, Bard("model.safetensors"), Bard("tokenizer.json"), Path.Combine(data, "text-tinyshakespeare", "train.txt"), Path.Combine(data, "text-tinyshakespeare", "test.txt")));
            models.Add(new("gsmbard-4m-gsm8k", StoryModel.GsmBardConfig, Bard("model.safetensors"), Bard("tokenizer.json"), Questions(data, "train", folder), Questions(data, "test", folder)));
        }

        return models;
    }

    /// <summary>GSM8K's lines of JSON as the plain text that the model was trained on.</summary>
    private static string Questions(string data, string part, string folder)
    {
        var text = new StringBuilder();
        foreach (string line in File.ReadLines(Path.Combine(data, "gsm8k", part + ".jsonl")))
        {
            using var item = JsonDocument.Parse(line);
            text.Append("Question: ").Append(item.RootElement.GetProperty("question").GetString())
                .Append("\nAnswer: ").Append(item.RootElement.GetProperty("answer").GetString()).Append("\n\n");
        }

        string path = Path.Combine(folder, $"gsm8k-{part}.txt");
        File.WriteAllText(path, text.ToString());
        return path;
    }
}
