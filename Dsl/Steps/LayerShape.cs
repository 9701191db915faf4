using System;

namespace PipelineDsl;

/// <summary>A layer's weight seen as a matrix: rows = outputs (or table entries), columns = everything one output reads.</summary>
/// <param name="Kind">What the layer is.</param>
/// <param name="Rows">Output features, table entries or output channels.</param>
/// <param name="Columns">Input features, vector width, or input channels × kernel height × kernel width.</param>
public sealed record LayerShape(LayerKinds Kind, long Rows, long Columns)
{
    /// <summary>The kernel of a convolution; null for other layers and where the source does not show it.</summary>
    public ConvolutionKernel? Kernel { get; init; }

    /// <summary>The largest rank a matrix of this shape can have.</summary>
    public long MaxRank => Math.Min(Rows, Columns);

    /// <summary>The rank from which two factors hold as many values as the matrix itself.</summary>
    public double BreakEvenRank => (double)Rows * Columns / (Rows + Columns);

    /// <summary>Number of values.</summary>
    public long Count => Rows * Columns;
}
