namespace PipelineDsl;

/// <summary>What to do where the official code of a paper does worse than it could.</summary>
public enum Parity
{
    /// <summary>The sound form.</summary>
    Sound,

    /// <summary>As the official code.</summary>
    Official,
}
