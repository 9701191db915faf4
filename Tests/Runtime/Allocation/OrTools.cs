using Google.OrTools.LinearSolver;
using PipelineDsl.Runtime.Allocation;

namespace PipelineDsl.Runtime.Tests.Allocation;

/// <summary>The multiple-choice knapsack as a mixed integer programme of another solver.</summary>
internal static class OrTools
{
    /// <summary>The least distortion within a budget, by SCIP; null where no choice fits.</summary>
    public static double? LeastDistortion(IReadOnlyList<IReadOnlyList<AllocationOption>> layers, long budget)
    {
        using var solver = Solver.CreateSolver("SCIP");
        using var parameters = new MPSolverParameters();
        parameters.SetDoubleParam(MPSolverParameters.DoubleParam.RELATIVE_MIP_GAP, 0);

        // As the published programme does: distortions of about one, costs that a tolerance of the solver does not blur.
        double unit = layers.SelectMany(options => options).Max(option => option.Distortion) / 1000;
        var spent = solver.MakeConstraint(double.NegativeInfinity, budget, "budget");
        var taken = layers.Select((options, layer) => options.Select((_, option) => solver.MakeBoolVar($"x{layer}.{option}")).ToList()).ToList();
        for (int layer = 0; layer < layers.Count; layer++)
        {
            var one = solver.MakeConstraint(1, 1, $"one{layer}");
            for (int option = 0; option < layers[layer].Count; option++)
            {
                one.SetCoefficient(taken[layer][option], 1);
                spent.SetCoefficient(taken[layer][option], layers[layer][option].Cost);
                solver.Objective().SetCoefficient(taken[layer][option], layers[layer][option].Distortion / unit);
            }
        }

        solver.Objective().SetMinimization();
        if (solver.Solve(parameters) != Solver.ResultStatus.OPTIMAL)
        {
            return null;
        }

        // What the choices cost, not what the solver says: its variables are integers up to a tolerance.
        return layers.Select((options, layer) => options[taken[layer].FindIndex(variable => variable.SolutionValue() > 0.5)].Distortion).Sum();
    }
}
