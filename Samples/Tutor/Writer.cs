using PipelineDsl.Runtime.Formats.Tokenizers;
using Tutor.Model;

using static TorchSharp.torch;

namespace Tutor;

/// <summary>Lets a model continue a text with the likeliest token each time.</summary>
/// <param name="model">The model; it stays the caller's.</param>
/// <param name="tokenizer">The model's tokenizer.</param>
public sealed class Writer(TutorLlama model, Tokenizer tokenizer)
{
    /// <summary>Continues a text.</summary>
    /// <param name="prompt">How it starts.</param>
    /// <param name="tokens">The most tokens to add.</param>
    public string Continue(string prompt, int tokens)
    {
        using var noGradients = no_grad();
        model.eval();
        var ids = tokenizer.Encode(prompt).ToList();
        for (int i = 0; i < tokens; i++)
        {
            using var scope = NewDisposeScope();
            long next = model.call(tensor(ids.ToArray()).unsqueeze(0))[0, -1].argmax().item<long>();
            if (next == tokenizer.EndId || next == tokenizer.BeginId)
            {
                break;
            }

            ids.Add(next);
        }

        return tokenizer.Decode(ids);
    }
}
