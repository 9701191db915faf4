using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Formats.Peft;

/// <summary>The factors of a LoRA: ΔW = s · B A; transposed for an embedding.</summary>
/// <param name="A">[r, in]; [r, in, …kernel] for a convolution; [r, vocabulary] for an embedding.</param>
/// <param name="B">[out, r]; [out, r / groups, 1, …] for a convolution; [dimension, r] for an embedding.</param>
/// <param name="Magnitude">DoRA's magnitudes [out]; [1, out, 1, …] for a convolution; [dimension] for an embedding. Null without DoRA.</param>
/// <param name="IsEmbedding">Whether the module is an embedding.</param>
public sealed record LoraTensors(Tensor A, Tensor B, Tensor? Magnitude = null, bool IsEmbedding = false) : PeftTensors
{
    internal const string SuffixA = ".lora_A.weight";
    internal const string SuffixB = ".lora_B.weight";
    internal const string EmbeddingSuffixA = ".lora_embedding_A";
    internal const string EmbeddingSuffixB = ".lora_embedding_B";
    internal const string MagnitudeSuffix = ".lora_magnitude_vector";

    /// <summary>How many groups of channels the factors of a convolution have; 1 for other modules.</summary>
    internal long Groups => A.shape[0] / B.shape[1];

    /// <inheritdoc/>
    internal override IEnumerable<(string Suffix, Tensor Tensor)> Parts
    {
        get
        {
            yield return (IsEmbedding ? EmbeddingSuffixA : SuffixA, A);
            yield return (IsEmbedding ? EmbeddingSuffixB : SuffixB, B);
            if (Magnitude is not null)
            {
                yield return (MagnitudeSuffix, Magnitude);
            }
        }
    }

    /// <inheritdoc/>
    internal override void Check(PeftConfig config, string module)
    {
        long rank = config.RankOf(module);
        long kernel = A.dim() - 2;
        Require(A.dim() is >= 2 and <= 5 && (kernel == 0 || !IsEmbedding) && A.shape[0] == rank, module, "factor A", A, $"rank {rank} first");
        Require(B.dim() == A.dim() && B.shape.Skip(2).All(size => size == 1), module, "factor B", B, $"[out, {rank}] with as many axes as factor A");
        Require(B.shape[1] == rank || (kernel > 0 && B.shape[1] > 0 && rank % B.shape[1] == 0), module, "factor B", B, $"rank {rank} second");
        if (Magnitude is null == config.UseDora)
        {
            throw new HeaderException($"module '{module}' {(config.UseDora ? "has no magnitude vector, which DoRA needs" : "has a magnitude vector but 'use_dora' is false")}");
        }

        if (Magnitude is not null)
        {
            long[] expected = kernel == 0 ? [B.shape[0]] : [1, B.shape[0], .. Enumerable.Repeat(1L, (int)kernel)];
            Require(Magnitude.shape.SequenceEqual(expected), module, "the magnitude vector", Magnitude, $"[{string.Join(", ", expected)}]");
        }
    }

    /// <inheritdoc/>
    internal override bool Fits(PeftConfig config, IReadOnlyList<long> weight)
    {
        long[] expected = [B.shape[0], A.shape[1] / Groups, .. A.shape.Skip(2)];
        return A.shape[1] % Groups == 0 && weight.SequenceEqual(IsEmbedding || (config.FanInFanOut && A.dim() == 2) ? expected.Reverse() : expected);
    }
}
