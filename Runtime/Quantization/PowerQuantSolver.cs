using PipelineDsl.Runtime.Engine;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Power-of-magnitude levels with the exponent of least weight error (PowerQuant, arXiv:2301.09858).</summary>
/// <remarks>Facts: those of <see cref="PowerQuantLayer.Solve"/>.</remarks>
public sealed class PowerQuantSolver : LayerSolver<PowerQuant>
{
    /// <inheritdoc/>
    public override int Version => 1;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, PowerQuant step) => PowerQuantLayer.Solve(problem, step);
}
