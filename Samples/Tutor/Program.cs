using System.Globalization;
using PipelineDsl;
using PipelineDsl.Runtime;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Formats.Tokenizers;
using PipelineDsl.Runtime.Measurement;
using PipelineDsl.Runtime.Native;
using Tutor;
using Tutor.Model;
using TorchSharp;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
NativeLibraries.Load();
string home = AppContext.BaseDirectory;
string tokenizerPath = Path.Combine(home, "weights", "tokenizer.json");
var tokenizer = Tokenizer.Open(tokenizerPath);

// One model in memory, with the weights that it came with.
using var model = new TutorLlama();
using (var weights = WeightStore.Open(Path.Combine(home, "weights")))
{
    model.load_state_dict(weights.Names.ToDictionary(name => name, weights.Read));
}

// Two adapters that the build trained: each is refused on any other weights.
var adapters = ModelAdapters.Of(model);
adapters.Add("arithmetic", Path.Combine(home, ArithmeticPipeline.ArtifactPath));
adapters.Add("plays", Path.Combine(home, PlaysPipeline.ArtifactPath));

Console.WriteLine("perplexity of                arithmetic      plays   a continuation of \"Question: Tom has 3\"");
Show("no adapter", adapters.None);
Show("arithmetic", () => adapters.Use("arithmetic"));
Show("plays", () => adapters.Use("plays"));
Show("half of each", () => adapters.Use(("arithmetic", 0.5), ("plays", 0.5)));
Show("arithmetic, merged", () =>
{
    adapters.Use("arithmetic");
    adapters.Merge();
});
Show("no adapter again", adapters.None);

void Show(string name, Action use)
{
    use();
    string text = new Writer(model, tokenizer).Continue("Question: Tom has 3", tokens: 24).ReplaceLineEndings(" ");
    Console.WriteLine($"{name,-25} {Perplexity("arithmetic.test.txt"),13:0.00} {Perplexity("shakespeare.test.txt"),10:0.00}   {text}");
}

double Perplexity(string file)
{
    var pipeline = new ArithmeticPipeline();
    var data = DataSource.Open(Path.Combine(home, "data", file), tokenizerPath, samples: 0, sequenceLength: 256);
    return Quality.Measure(pipeline, model, pipeline.EvaluationBatches(data), Metric.Perplexity);
}
