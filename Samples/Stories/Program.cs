using System.Globalization;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Formats.Tokenizers;
using PipelineDsl.Runtime.Native;
using Stories;
using Stories.Model;
using TorchSharp;

const string Prompt = "Once upon a time";
const int Tokens = 96;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
NativeLibraries.Load();
string weightsPath = Path.Combine(AppContext.BaseDirectory, "weights");
var tokenizer = Tokenizer.Open(Path.Combine(weightsPath, "tokenizer.json"));

using (var original = new StoryLlama())
using (var weights = WeightStore.Open(weightsPath))
{
    original.load_state_dict(weights.Names.ToDictionary(name => name, weights.Read));
    Tell("original", original, null);
}

using (var balanced = StoryLlama.LoadBalanced())
{
    Tell("balanced", balanced, BalancedPipeline.ArtifactPath);
}

using (var tiny = StoryLlama.LoadTiny())
{
    Tell("tiny", tiny, TinyPipeline.ArtifactPath);
}

using (var quality = StoryLlama.LoadQuality())
{
    Tell("quality", quality, QualityPipeline.ArtifactPath);
}

void Tell(string name, StoryLlama model, string? artifact)
{
    var teller = new Storyteller(model, tokenizer);
    teller.Tell(Prompt, maxTokens: 8);
    var story = teller.Tell(Prompt, Tokens);
    string facts = $"{story.TokensPerSecond:0} tokens/s";
    if (artifact is not null)
    {
        var manifest = ManifestFile.Read(Path.Combine(AppContext.BaseDirectory, artifact));
        facts = $"{manifest.Bytes.Before:N0} -> {manifest.Bytes.After:N0} bytes, perplexity {manifest.Quality?.Before:0.00} -> {manifest.Quality?.After:0.00}, {facts}";
    }

    Console.WriteLine($"[{name}] {facts}");
    Console.WriteLine(story.Text);
    Console.WriteLine();
}
