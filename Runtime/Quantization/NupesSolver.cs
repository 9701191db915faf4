using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Reconstruction;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>PowerQuant, then codes and exponent learned by reconstruction (NUPES, arXiv:2308.05600).</summary>
/// <remarks>Facts: those of <see cref="PowerQuantLayer.Solve"/>, of the start.</remarks>
public sealed class NupesSolver : ReconstructingSolver<Nupes>
{
    /// <summary>The loss of rounded codes jumps from step to step, so it is measured often.</summary>
    private const int Checkpoints = 40;

    /// <inheritdoc/>
    public override int Version => 1;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, Nupes step) => PowerQuantLayer.Solve(problem, step);

    /// <inheritdoc/>
    protected override ReconstructionSettings? SettingsOf(Nupes step) => step.Iterations == 0 ? null : new()
    {
        Scope = step.Reconstruct,
        Steps = step.Iterations,
        BatchSize = step.BatchSize,
        Schedule = RateSchedule.Constant,
        Checkpoints = Checkpoints,
    };

    /// <inheritdoc/>
    protected override TrainableWeight Start(LayerProblem problem, Nupes step, LayerSolution start)
    {
        int next = 0;
        return new NupesWeight(problem.Weight, step, dense => new(PowerQuantLayer.Grid(dense, step), start.Facts[PowerQuantLayer.ExponentFact(next++)], dense.Matrix.dtype == float64 ? float64 : float32));
    }
}
