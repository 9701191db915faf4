using System;

namespace PipelineDsl;

/// <summary>The layers a step can be applied to.</summary>
[Flags]
public enum LayerKinds
{
    /// <summary>No layer.</summary>
    None = 0,

    /// <summary>A fully connected layer, weight [out, in].</summary>
    Linear = 1,

    /// <summary>A table of vectors, weight [entries, width].</summary>
    Embedding = 2,

    /// <summary>A two-dimensional convolution, weight [out, in, height, width].</summary>
    Conv2d = 4,

    /// <summary>Every layer that has a weight matrix.</summary>
    All = Linear | Embedding | Conv2d,
}
