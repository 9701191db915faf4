namespace PipelineDsl.Runtime.Engine;

/// <summary>Finds the solver of a step; solvers announce themselves by their type.</summary>
public static class SolverCatalog
{
    private static readonly Dictionary<Type, ILayerSolver> Solvers = typeof(SolverCatalog).Assembly.GetTypes()
        .Where(type => !type.IsAbstract && typeof(ILayerSolver).IsAssignableFrom(type))
        .Select(type => (ILayerSolver)Activator.CreateInstance(type)!)
        .ToDictionary(solver => solver.StepType);

    /// <summary>The solver of a step.</summary>
    /// <exception cref="InvalidOperationException">The step has none: a mistake in this library that a test catches.</exception>
    public static ILayerSolver For(Step step) => Solvers.TryGetValue(step.GetType(), out var solver)
        ? solver
        : throw new InvalidOperationException($"Step '{step.GetType().Name}' has no solver.");
}
