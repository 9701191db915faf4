using System.Collections.Generic;

namespace PipelineDsl.Plans;

/// <summary>What a lock file says, read back.</summary>
/// <param name="Recipe">The recipe's name.</param>
/// <param name="Model">The full name of the model's class.</param>
/// <param name="Seed">The recipe's seed.</param>
/// <param name="Digests">SHA-256 of every file that goes in, by role.</param>
/// <param name="Layers">The layers that get steps, in the order of the file.</param>
/// <param name="Analyze">What is looked for in the weights: the settings of each analysis as written, by its name.</param>
/// <param name="Train">How what the steps leave open is trained, as written, or null when nothing is.</param>
public sealed record LockedPlan(
    string Recipe,
    string Model,
    long Seed,
    IReadOnlyDictionary<string, string> Digests,
    IReadOnlyList<LockedLayer> Layers,
    IReadOnlyDictionary<string, string> Analyze,
    string? Train);

/// <summary>One layer of a lock file.</summary>
/// <param name="Path">Its path in the model.</param>
/// <param name="Rows">Rows of its weight.</param>
/// <param name="Columns">Columns of its weight.</param>
/// <param name="Steps">Its steps as written, in the order they run.</param>
/// <param name="BytesBefore">Bytes of its weight as it is.</param>
/// <param name="BytesAfter">Predicted bytes of its weight.</param>
public sealed record LockedLayer(string Path, long Rows, long Columns, IReadOnlyList<string> Steps, long BytesBefore, long BytesAfter);
