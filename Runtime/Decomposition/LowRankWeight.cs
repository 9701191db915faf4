using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>What the decomposing solvers share: the weight in float64, the clipped rank, the stored factors and the facts.</summary>
/// <param name="problem">The layer.</param>
/// <remarks>Tensors live in the dispose scope of the solver.</remarks>
internal sealed class LowRankWeight(LayerProblem problem)
{
    private readonly List<string> notes = [];

    /// <summary>W [m, n] in the dtype the expression materialises in.</summary>
    private readonly Tensor stored = problem.Weight.Materialize();

    /// <summary>What was changed about the request.</summary>
    public IReadOnlyList<string> Notes => notes;

    /// <summary>The dtype of factors: float64 for a float64 weight, else float32.</summary>
    public ScalarType Dtype => stored.dtype;

    /// <summary>W [m, n] float64; refused when it holds NaN or infinity.</summary>
    public Tensor Exact()
    {
        MatrixChecks.RequireFinite(stored, "the weight");
        return stored.to(float64);
    }

    /// <summary>Takes a note for the user.</summary>
    public void Note(string note) => notes.Add(note);

    /// <summary>The rank of a leading slice: as asked, but within the numerical rank.</summary>
    public int Clip(Projection projection, int rank) => Clip(projection.NumericalRank, rank);

    /// <inheritdoc cref="Clip(Projection, int)"/>
    public int Clip(int numericalRank, int rank)
    {
        int possible = Math.Max(1, numericalRank);
        if (rank <= possible)
        {
            return rank;
        }

        Note($"rank {rank} is clipped to {possible}: the other directions carry nothing in this metric");
        return possible;
    }

    /// <summary>A product that stores the factors.</summary>
    public Product Store(FactorPair factors)
    {
        var (b, a) = factors.To(Dtype);
        return new(new Dense(b), new Dense(a));
    }

    /// <summary>A finished layer with its error measured on what is stored.</summary>
    public LayerSolution Solution(Expression weight, Tensor? bias, double[] spectrum, Dictionary<string, double> facts)
    {
        facts["relativeError"] = MatrixChecks.RelativeError(stored, weight.Materialize());
        return new(weight, bias?.DetachFromDisposeScope(), facts, spectrum, notes);
    }

    /// <summary>Part of a whole; a whole of nothing counts as kept.</summary>
    public static double Share(double part, double whole) => whole > 0 ? part / whole : 1;
}
