using PipelineDsl.Runtime.Data;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Training;

/// <summary>Sequences of tokens, each an example; in a batch the shorter ones are filled up with tokens that are not scored.</summary>
/// <remarks>Eight bytes a token are kept in memory.</remarks>
internal sealed class TokenExamples(IReadOnlyList<TokenSequence> sequences) : TrainingData
{
    /// <inheritdoc/>
    public override int Count => sequences.Count;

    /// <inheritdoc/>
    public override Batch Read(IReadOnlyList<int> examples)
    {
        int length = examples.Max(example => sequences[example].Tokens.Length);
        long[] tokens = new long[examples.Count * length];
        long[] targets = new long[tokens.Length];
        Array.Fill(targets, Batch.Ignored);
        for (int row = 0; row < examples.Count; row++)
        {
            var sequence = sequences[examples[row]];
            for (int i = 0; i < sequence.Tokens.Length; i++)
            {
                tokens[(row * length) + i] = sequence.Tokens[i];
                targets[(row * length) + i] = sequence.Targets[i];
            }
        }

        return new(
            tensor(tokens, [examples.Count, length]).DetachFromDisposeScope(),
            tensor(targets, [examples.Count, length]).DetachFromDisposeScope());
    }
}
