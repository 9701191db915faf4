namespace PipelineDsl.Runtime.Planning;

/// <summary>What a build of one recipe would do, and what of it is done already.</summary>
/// <remarks>The names of these records are the keys of <c>plan.json</c>, in camel case; they stay.</remarks>
public sealed record PlanReport
{
    /// <summary>The recipe's name.</summary>
    public required string Recipe { get; init; }

    /// <summary>The full name of the model's class.</summary>
    public required string Model { get; init; }

    /// <summary><c>cpu</c> or <c>cuda</c>.</summary>
    public required string Device { get; init; }

    /// <summary>Layers that are solved at once.</summary>
    public required int Cores { get; init; }

    /// <summary>The recipe's seed.</summary>
    public required long Seed { get; init; }

    /// <summary>How the budget is shared out, or null when the recipe has none.</summary>
    public PlanBudget? Budget { get; init; }

    /// <summary>How the plan stands to its lock file.</summary>
    public required PlanLockState Lock { get; init; }

    /// <summary>The layers that get steps, by path.</summary>
    public required IReadOnlyList<PlanLayer> Layers { get; init; }

    /// <summary>What the run consists of, in order; phases that the recipe does not have are absent.</summary>
    public required IReadOnlyList<PlanPhase> Phases { get; init; }

    /// <summary>Everything together.</summary>
    public required PlanTotals Totals { get; init; }
}

/// <summary>A budget in a plan.</summary>
/// <param name="Text">The budget as written.</param>
/// <param name="Method">How it is shared out.</param>
/// <param name="Bytes">The most bytes of all tensors of the artifact.</param>
/// <param name="IsAllocated">Whether it is known what each layer gets: only when all that the allocation measures is in the cache.</param>
public sealed record PlanBudget(string Text, string Method, long Bytes, bool IsAllocated);

/// <summary>How a plan stands to its lock file.</summary>
/// <param name="Path">The lock file, relative to the project.</param>
/// <param name="State"><c>agrees</c>, <c>differs</c>, <c>missing</c>, or <c>unknown</c> as long as a budget is not allocated.</param>
/// <param name="Differences">What differs, in words.</param>
public sealed record PlanLockState(string Path, string State, IReadOnlyList<string> Differences);

/// <summary>One layer of a plan.</summary>
/// <param name="Path">Its path in the model.</param>
/// <param name="Kind"><c>linear</c>, <c>embedding</c> or <c>conv2d</c>.</param>
/// <param name="Shape">Rows and columns of its weight as a matrix.</param>
/// <param name="Steps">Its resolved steps with all settings, in the order they run.</param>
/// <param name="IsOpen">Whether a budget is still to choose something about them.</param>
/// <param name="BytesBefore">Bytes of its weight as it is.</param>
/// <param name="BytesAfter">Predicted bytes of its weight; null while a budget is to choose.</param>
/// <param name="Seconds">What solving it takes, cached or not.</param>
/// <param name="MemoryBytes">The memory that solving it takes beside the model.</param>
/// <param name="IsMeasured">Whether the seconds come from earlier runs of this kind of work rather than from a guess.</param>
/// <param name="IsCached">Whether its result is in the cache.</param>
/// <param name="WaitsFor">Why it is not: <c>solving</c>; or, where its key is not known before, <c>statistics</c>, <c>allocation</c> or <c>reconstruction</c>. Null where it is.</param>
public sealed record PlanLayer(
    string Path,
    string Kind,
    IReadOnlyList<long> Shape,
    IReadOnlyList<string> Steps,
    bool IsOpen,
    long BytesBefore,
    long? BytesAfter,
    double Seconds,
    long MemoryBytes,
    bool IsMeasured,
    bool IsCached,
    string? WaitsFor)
{
    /// <summary>Its steps with the settings that matter, in one line.</summary>
    public required string Summary { get; init; }
}

/// <summary>One phase of a run.</summary>
/// <param name="Name"><c>statistics</c>, <c>allocate</c>, <c>solve</c>, <c>reconstruct</c>, <c>train</c>, <c>analyze</c>, <c>order</c> or <c>evaluate</c>.</param>
/// <param name="Units">How many results it makes: of layers, blocks, trainings, analyses, scores or measurements.</param>
/// <param name="Cached">How many of them are in the cache.</param>
/// <param name="Seconds">What the others take, on all cores.</param>
/// <param name="MemoryBytes">The memory that they take at once, beside the model.</param>
public sealed record PlanPhase(string Name, int Units, int Cached, double Seconds, long MemoryBytes);

/// <summary>Everything together.</summary>
/// <param name="Layers">Layers that get steps.</param>
/// <param name="CachedLayers">Those whose results are in the cache.</param>
/// <param name="BytesBefore">Bytes of all tensors of the weights.</param>
/// <param name="BytesAfter">Predicted bytes of all tensors of the artifact; while a budget is to choose, the most that it may have.</param>
/// <param name="Seconds">What a build takes beside reading and writing.</param>
/// <param name="MemoryBytes">The memory of its largest phase, beside the model.</param>
/// <param name="ModelBytes">The model in memory.</param>
public sealed record PlanTotals(int Layers, int CachedLayers, long BytesBefore, long BytesAfter, double Seconds, long MemoryBytes, long ModelBytes);
