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

    /// <summary>W [m, n]: as it is stored where it is a plain matrix, without a copy; otherwise in the dtype the expression materialises in.</summary>
    private readonly Tensor stored = problem.Weight is Dense dense ? dense.Matrix.alias() : problem.Weight.Materialize();

    /// <summary>What was changed about the request.</summary>
    public IReadOnlyList<string> Notes => notes;

    /// <summary>The dtype of factors: float64 for a float64 weight, else float32.</summary>
    public ScalarType Dtype => Dtypes.Wide(stored.dtype);

    /// <summary>W [m, n] float64; refused when it holds NaN or infinity.</summary>
    public Tensor Exact()
    {
        MatrixChecks.RequireFinite(stored, "the weight");
        return stored.to(float64);
    }

    /// <summary>W [m, n] in the dtype it has, for methods that need no copy of it in another; refused when it holds NaN or infinity.</summary>
    public Tensor Stored()
    {
        MatrixChecks.RequireFinite(stored, "the weight");
        return stored;
    }

    /// <summary>Takes a note for the user.</summary>
    public void Note(string note) => notes.Add(note);

    /// <summary>The projection of a weight in the metric of the oriented one, as far as the step's rank needs it.</summary>
    public Projection Project(Tensor weight, Tensor oriented, Decompose step) => Projection.Leading(weight, oriented, step.Rank, step.Accuracy, problem.Seed);

    /// <summary>Clips the rank and takes down <c>rank</c>, <c>predictedLoss</c>, <c>energyKept</c> and, where the vectors were iterated for, <c>certifiedExcess</c>.</summary>
    /// <returns>The rank of the leading slice.</returns>
    public int Keep(Projection projection, Decompose step, Dictionary<string, double> facts)
    {
        int rank = Clip(projection, step.Rank);
        double loss = projection.Loss(Slice.Top, rank);
        double energy = projection.Energy(Slice.Top, rank);
        facts["rank"] = rank;
        facts["predictedLoss"] = loss;
        facts["energyKept"] = Share(energy, energy + loss);
        if (projection.Basis.CertifiedExcess is { } excess)
        {
            facts["certifiedExcess"] = excess;
        }

        return rank;
    }

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

    /// <summary>b' = b + (W − W') μ_x, so that the mean output stays what it was (LoRD's U Uᵀ b + μ_y − U Uᵀ μ_y, rearranged).</summary>
    public Tensor CentredBias(Tensor weight, Tensor approximation)
    {
        var moments = problem.Statistics.InputMoments!;
        var bias = (weight - approximation).mv(moments.Sum / moments.Count);
        return (problem.Bias is null ? bias : bias + problem.Bias).to(Dtype);
    }

    /// <summary>A finished layer with its error measured on what is stored.</summary>
    public LayerSolution Solution(Expression weight, Tensor? bias, double[] spectrum, Dictionary<string, double> facts)
    {
        facts["relativeError"] = MatrixChecks.RelativeError(problem.Weight, weight);
        return new(weight, bias?.DetachFromDisposeScope(), facts, spectrum, notes);
    }

    /// <summary>Part of a whole; a whole of nothing counts as kept.</summary>
    public static double Share(double part, double whole) => whole > 0 ? part / whole : 1;
}
