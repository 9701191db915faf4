using System.Diagnostics;
using PipelineDsl.Runtime.Formats.Tokenizers;
using Stories.Model;
using TorchSharp;

using static TorchSharp.torch;

namespace Stories;

/// <summary>Lets a model continue a text, token by token.</summary>
/// <param name="model">The model; it stays the caller's.</param>
/// <param name="tokenizer">The model's tokenizer.</param>
public sealed class Storyteller(StoryLlama model, Tokenizer tokenizer)
{
    /// <summary>Continues a text.</summary>
    /// <param name="prompt">How the story starts.</param>
    /// <param name="maxTokens">The most tokens to add.</param>
    /// <param name="temperature">0 takes the likeliest token each time; 1 draws as the model thinks.</param>
    /// <param name="seed">Equal seeds tell equal stories.</param>
    /// <param name="cancellation">Ends the story between two tokens.</param>
    public Story Tell(string prompt, int maxTokens = 128, double temperature = 0, ulong seed = 1, CancellationToken cancellation = default)
    {
        using var noGradients = no_grad();
        using var generator = new Generator(seed);
        model.eval();
        var ids = tokenizer.Encode(prompt).ToList();
        int given = ids.Count;
        var watch = Stopwatch.StartNew();
        while (ids.Count < given + maxTokens)
        {
            cancellation.ThrowIfCancellationRequested();
            long next = Next(ids, temperature, generator);
            if (next == tokenizer.EndId || next == tokenizer.BeginId)
            {
                break;
            }

            ids.Add(next);
        }

        return new Story(tokenizer.Decode(ids), ids.Count - given, watch.Elapsed);
    }

    private long Next(List<long> ids, double temperature, Generator generator)
    {
        using var scope = NewDisposeScope();
        var seen = tensor(ids.TakeLast(model.ContextLength).ToArray()).unsqueeze(0);
        var scores = model.call(seen)[0, -1];
        return temperature == 0
            ? scores.argmax().item<long>()
            : multinomial(nn.functional.softmax(scores / temperature, dim: -1), 1, generator: generator).item<long>();
    }
}
