using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Measurement;
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

        PerplexityOf(model, text.EvaluationBatches()).ShouldBe(6.12, 0.02);
    }

    [Fact]
    public void Perplexity_with_every_position_scored_is_what_the_reference_says()
    {
        using var model = StoryFiles.Model();
        long[] ids = StoryFiles.OpenTokenizer().Encode(File.ReadAllText(StoryFiles.TestText)[..40_000]);

        PerplexityOf(model, WholeWindows(ids)).ShouldBe(6.110, 0.001);
    }

    [Fact]
    public void Perplexity_of_a_larger_model_is_what_other_clients_say()
    {
        string weights = StoryFiles.Large("gsmbard-4m/model.safetensors");
        using var model = StoryFiles.Loaded(new StoryLlama(StoryModel.GsmBardConfig), weights);
        var tokenizer = Tokenizer.Open(StoryFiles.Large("gsmbard-4m/tokenizer.json"));
        var text = TextSource.Open(StoryFiles.Large("text-tinyshakespeare/test.txt"), tokenizer, samples: 0, sequenceLength: 256);

        PerplexityOf(model, text.EvaluationBatches()).ShouldBe(35.456, 0.01);
    }

    private static double PerplexityOf(StoryLlama model, IEnumerable<Batch> batches) =>
        Quality.Measure(new StoryPipeline(), model, batches, Metric.Perplexity);

    /// <summary>Non-overlapping windows of 256 ids, each position scored; the begin token stands only before the first.</summary>
    private static IEnumerable<Batch> WholeWindows(long[] ids)
    {
        const int length = 256;
        for (int start = 0; start + length < ids.Length; start += length)
        {
            yield return new Batch(Row(ids[start..(start + length)]), Row(ids[(start + 1)..(start + 1 + length)]));
        }

        static Tensor Row(long[] values) => tensor(values, [1, length]).DetachFromDisposeScope();
    }
}
