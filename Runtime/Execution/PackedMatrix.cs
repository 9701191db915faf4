namespace PipelineDsl.Runtime.Execution;

/// <summary>Where the parts of a packed matrix lie: w = scale · level(code) + offset, level by table or code.</summary>
/// <remarks>Columns are filled up to whole chunks of 128 with codes that meet zeros of the input, rows to a multiple of 4.</remarks>
internal readonly unsafe struct PackedMatrix
{
    /// <summary>Codes [rows, chunks, chunk bytes].</summary>
    public required byte* Codes { get; init; }

    /// <summary>Levels [16] or [rows, 16]; null for codes that are levels.</summary>
    public required float* Tables { get; init; }

    /// <summary>16 where each row has its own levels, else 0.</summary>
    public required int TableStride { get; init; }

    /// <summary>Scales [rows, groups].</summary>
    public required float* Scales { get; init; }

    /// <summary>Offsets [rows, groups], or null.</summary>
    public required float* Offsets { get; init; }

    /// <summary>Groups of a row.</summary>
    public required int Groups { get; init; }

    /// <summary>Chunks of a row.</summary>
    public required int Chunks { get; init; }

    /// <summary>Steps of 16 columns that share a scale, at most 8: a divisor of 8.</summary>
    public required int GroupSteps { get; init; }

    /// <summary>Chunks that share a scale, where groups are longer than one; else 1.</summary>
    public required int GroupChunks { get; init; }
}
