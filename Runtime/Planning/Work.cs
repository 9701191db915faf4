namespace PipelineDsl.Runtime.Planning;

/// <summary>What some computation takes, by a simple model.</summary>
/// <param name="Kind">What is computed: the names of a layer's steps joined by <c>+</c>, or a phase of the run. Rates that were measured are kept by it.</param>
/// <param name="Operations">Floating-point operations, or as many as its memory accesses are worth.</param>
/// <param name="Bytes">Memory beside the model, at most.</param>
internal sealed record Work(string Kind, double Operations, long Bytes);
