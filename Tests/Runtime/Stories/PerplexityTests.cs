using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Evaluation;
using PipelineDsl.Runtime.Formats.Tokenizers;
using Stories.Model;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Stories;

/// <summary>Against perplexities that llama.cpp and an independent implementation gave (float32).</summary>
public sealed class PerplexityTests
{
    [Fact]
    public void Perplexity_of_the_sample_is_what_other_clients_say()
    {
        using var model = StoryFiles.Model();
        var text = TextSource.Open(StoryFiles.TestText, StoryFiles.OpenTokenizer(), samples: 0, sequenceLength: 256);
        Console.Error.WriteLine(PerplexityOf(model, text.EvaluationBatches()));

        PerplexityOf(model, text.EvaluationBatches()).ShouldBe(6.12, 0.02);
    }

    [Fact]
    public void Perplexity_with_every_position_scored_is_what_the_reference_says()
    {
        using var model = StoryFiles.Model();
        long[] ids = StoryFiles.OpenTokenizer().Encode(File.ReadAllText(StoryFiles.TestText)[..40_000]);
        foreach (var variant in new[]{0,1,2,3}) Console.Error.WriteLine(variant + " " + PerplexityOf(model, Whole(ids, variant)));

        PerplexityOf(model, Whole(ids, 0)).ShouldBe(6.110, 0.001);
    }

    [Fact]
    public void Perplexity_of_a_larger_model_is_what_other_clients_say()
    {
        string weights = StoryFiles.Large("gsmbard-4m/model.safetensors");
        using var model = StoryFiles.Loaded(new StoryLlama(GsmBard), weights);
        var tokenizer = Tokenizer.Open(StoryFiles.Large("gsmbard-4m/tokenizer.json"));
        var text = TextSource.Open(StoryFiles.Large("text-tinyshakespeare/test.txt"), tokenizer, samples: 0, sequenceLength: 256);
        Console.Error.WriteLine(PerplexityOf(model, text.EvaluationBatches()));

        PerplexityOf(model, text.EvaluationBatches()).ShouldBe(35.456, 0.01);
    }

    private static LlamaConfig GsmBard => new()
    {
        VocabularySize = 2048,
        HiddenSize = 256,
        IntermediateSize = 704,
        Layers = 4,
        Heads = 8,
        KeyValueHeads = 4,
        ContextLength = 256,
        TiedEmbeddings = false,
    };

    private static double PerplexityOf(StoryLlama model, IEnumerable<Batch> batches) =>
        Quality.Measure(new StoryPipeline(), model, batches, Metric.Perplexity);

    private static IEnumerable<Batch> Whole(long[] ids, int variant)
    {
        if (variant >= 2) ids = ids[1..];
        int step = variant % 2 == 0 ? 256 : 256;
        for (int s = 0; s + 257 <= ids.Length; s += step)
        {
            var input = ids[s..(s + 256)];
            var target = ids[(s + 1)..(s + 257)];
            if (variant == 1) target[255] = -100;
            if (variant == 3) { target = input.ToArray(); input = [1, .. input[..255]]; }
            yield return new Batch(tensor(input, [1, 256]).DetachFromDisposeScope(), tensor(target, [1, 256]).DetachFromDisposeScope());
        }
    }
}
