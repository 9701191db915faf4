using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Reconstruction;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Rounds to FlexRound's initial grid, then learns the rounding by reconstruction (arXiv:2306.00317).</summary>
/// <remarks>Facts: <c>relativeError</c> of the stored weight against the weight as earlier steps left it.</remarks>
public sealed class FlexRoundSolver : ReconstructingSolver<FlexRound>
{
    /// <inheritdoc/>
    public override int Version => 1;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, FlexRound step)
    {
        using var scope = NewDisposeScope();
        using var initial = new FlexRoundWeight(problem, step);
        var weight = initial.Harden();
        var facts = new Dictionary<string, double> { ["relativeError"] = MatrixChecks.RelativeError(problem.Weight.Materialize(), weight.Materialize()) };
        return new(weight, null, facts, [], []);
    }

    /// <inheritdoc/>
    protected override ReconstructionSettings? SettingsOf(FlexRound step) => step.Iterations == 0 ? null : new()
    {
        Scope = step.Reconstruct,
        Steps = step.Iterations,
        BatchSize = step.BatchSize,
    };

    /// <inheritdoc/>
    protected override TrainableWeight Start(LayerProblem problem, FlexRound step, LayerSolution start) => new FlexRoundWeight(problem, step);
}
