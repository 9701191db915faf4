namespace Tutor.Model;

/// <summary>The sizes of a Llama-architecture model.</summary>
public sealed record LlamaConfig
{
    /// <summary>The tiny model of the sample beside this one: 260,032 parameters, trained on TinyStories.</summary>
    public static LlamaConfig Stories260K { get; } = new()
    {
        VocabularySize = 512,
        HiddenSize = 64,
        IntermediateSize = 172,
        Layers = 5,
        Heads = 8,
        KeyValueHeads = 4,
        ContextLength = 512,
        TiedEmbeddings = true,
    };

    /// <summary>A model of 4,000,000 parameters, trained on arithmetic and plays.</summary>
    public static LlamaConfig Scholar4M { get; } = new()
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

    /// <summary>Rows of the embedding.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Features a token.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Features inside a feed-forward layer.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Blocks.</summary>
    public required int Layers { get; init; }

    /// <summary>Attention heads.</summary>
    public required int Heads { get; init; }

    /// <summary>Heads of keys and values; each serves <c>Heads / KeyValueHeads</c> query heads.</summary>
    public required int KeyValueHeads { get; init; }

    /// <summary>The most tokens the model can see.</summary>
    public required int ContextLength { get; init; }

    /// <summary>Whether the output layer shares the embedding's weight.</summary>
    public required bool TiedEmbeddings { get; init; }

    /// <summary>What keeps the normalisation from dividing by zero.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>The base of the rotary frequencies.</summary>
    public double RotaryBase { get; init; } = 10000;

    /// <summary>Features a head.</summary>
    public int HeadSize => HiddenSize / Heads;
}
