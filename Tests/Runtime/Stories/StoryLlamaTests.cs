using PipelineDsl.Runtime.Tests.Formats;
using Stories;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Stories;

/// <summary>Against values from two independent implementations of the model (float32).</summary>
public sealed class StoryLlamaTests
{
    [Fact]
    public void The_model_scores_the_next_token_as_the_reference_does()
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var model = StoryFiles.Model();
        long[] ids = StoryFiles.OpenTokenizer().Encode("Once upon a time, there was a little girl named Lily.");

        var (values, indices) = model.call(tensor(ids).unsqueeze(0))[0, -1].topk(5);

        indices.data<long>().ToArray().ShouldBe([338, 385, 317, 342, 405]);
        float[] found = values.data<float>().ToArray();
        float[] expected = [17.4565f, 14.7381f, 13.8856f, 11.7850f, 11.2950f];
        found.Zip(expected).ShouldAllBe(pair => Math.Abs(pair.First - pair.Second) < 1e-3f);
    }

    [Fact]
    public void The_model_continues_a_story_as_the_reference_does()
    {
        using var model = StoryFiles.Model();
        const string prompt = "Once upon a time";

        var story = new Storyteller(model, StoryFiles.OpenTokenizer()).Tell(prompt, maxTokens: 32);

        story.Text.ShouldStartWith(prompt + ", there was a little girl named Lily. She loved to play outside in the park.");
        story.Tokens.ShouldBe(32);
        story.TokensPerSecond.ShouldBeGreaterThan(0);
    }

    [Fact]
    public void Equal_seeds_draw_equal_stories()
    {
        using var model = StoryFiles.Model();
        var storyteller = new Storyteller(model, StoryFiles.OpenTokenizer());

        string first = storyteller.Tell("The dog", maxTokens: 20, temperature: 1, seed: 7).Text;

        storyteller.Tell("The dog", maxTokens: 20, temperature: 1, seed: 7).Text.ShouldBe(first);
        storyteller.Tell("The dog", maxTokens: 20, temperature: 1, seed: 8).Text.ShouldNotBe(first);
    }

    [Fact]
    public void Running_the_model_leaves_no_tensor_behind()
    {
        using var model = StoryFiles.Model();
        using var noGradients = no_grad();
        using var ids = tensor([1L, 403, 407], [1, 3]);
        model.call(ids).Dispose();

        TensorCount.GrowthOf(() => model.call(ids).Dispose()).ShouldBe(0);
        TensorCount.GrowthOf(() => new Storyteller(model, StoryFiles.OpenTokenizer()).Tell("Once", maxTokens: 3)).ShouldBe(0);
    }

    [Fact]
    public void Making_and_disposing_the_model_leaves_no_tensor_behind() =>
        TensorCount.GrowthOf(() => StoryFiles.Model().Dispose()).ShouldBe(0);
}
