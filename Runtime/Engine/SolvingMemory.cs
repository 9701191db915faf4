using PipelineDsl.Diagnostics;
using PipelineDsl.Plans;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Lets layers be solved at once as far as the memory limit allows; without one, all of them.</summary>
/// <param name="recipe">The recipe.</param>
/// <param name="plan">What the run takes.</param>
/// <param name="limit">The limit, which the plan can keep, or null.</param>
internal sealed class SolvingMemory(Recipe recipe, MemoryPlan plan, long? limit)
{
    private readonly MemoryGate gate = plan.Gate(limit);

    /// <summary>Solves a layer when there is room for it. Work that needs more than was planned is begun anew when there is room for that.</summary>
    /// <exception cref="PipelineException">PDSL3022: there will never be.</exception>
    public T Within<T>(PlannedLayer layer, Func<T> solve, CancellationToken cancellation)
    {
        long bytes = plan.Solving(layer);
        long source = layer.Shape.Count * sizeof(float);
        while (true)
        {
            try
            {
                using var share = gate.Take(bytes, cancellation);
                using var grant = WorkingMemory.Grant(gate.Capacity is null ? null : bytes - source);
                return solve();
            }
            catch (MemoryShortageException shortage)
            {
                bytes = shortage.Bytes + source;
                if (bytes > gate.Capacity)
                {
                    throw MemoryPlan.Refusal(recipe, limit!.Value, limit.Value - gate.Capacity.Value + bytes, $"the spectrum of layer '{layer.Path}' falls too slowly to be iterated for, and a complete decomposition takes {Figures.Bytes(bytes)}");
                }
            }
        }
    }
}
