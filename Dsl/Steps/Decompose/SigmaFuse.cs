namespace PipelineDsl;

/// <summary>Which factor carries the singular values.</summary>
public enum SigmaFuse
{
    /// <summary>Each takes the square root.</summary>
    Both,

    /// <summary>The left one (out × rank).</summary>
    Left,

    /// <summary>The right one (rank × in).</summary>
    Right,
}
