using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Analysis;

/// <summary>A matrix of low rank from the residual stream to itself by its singular components, M = Σ s_i u_i v_iᵀ: component i reads along u_i and writes along v_i.</summary>
/// <param name="Reading">U [D, k] float64, orthonormal columns; in each the entry of largest magnitude is positive.</param>
/// <param name="Writing">V [D, k] float64, orthonormal columns.</param>
/// <param name="Values">s [k], descending. k is the width of the head: the null vectors of the product of D × D are not there.</param>
/// <remarks>The tensors belong to the caller's dispose scope.</remarks>
public sealed record Circuit(Tensor Reading, Tensor Writing, double[] Values)
{
    /// <summary>The components of L Rᵀ, exactly, without the product of D × D.</summary>
    /// <param name="left">L [D, d], floating point.</param>
    /// <param name="right">R [D, d].</param>
    /// <returns>In the caller's dispose scope.</returns>
    /// <exception cref="ArgumentException">The factors are no matrices of one shape.</exception>
    /// <exception cref="InvalidOperationException">A factor holds NaN or infinity.</exception>
    public static Circuit Of(Tensor left, Tensor right)
    {
        if (left.dim() != 2 || !left.shape.SequenceEqual(right.shape))
        {
            throw new ArgumentException($"[{string.Join(", ", left.shape)}] and [{string.Join(", ", right.shape)}] are no factors of one shape", nameof(right));
        }

        MatrixChecks.RequireFinite(left, nameof(left));
        MatrixChecks.RequireFinite(right, nameof(right));
        using var scope = NewDisposeScope();
        var (reading, values, writing) = new FactorPair(left.detach(), right.detach().mT).SingularComponents();
        return new(reading.MoveToOuterDisposeScope(), writing.MoveToOuterDisposeScope(), values.cpu().data<double>().ToArray());
    }

    /// <summary>‖M‖_F.</summary>
    public double Norm => Math.Sqrt(Values.Sum(value => value * value));

    /// <summary>Mᵀ, of the same tensors.</summary>
    public Circuit Transposed => new(Writing, Reading, Values);

    /// <summary>|v_i · a_j| for each component of this circuit and each of a later one.</summary>
    /// <param name="next">Reads along a_j.</param>
    /// <returns>[k, k of the later one] float64; the caller owns it.</returns>
    public Tensor PairScores(Circuit next)
    {
        using var scope = NewDisposeScope();
        return Writing.mT.mm(next.Reading).abs().MoveToOuterDisposeScope();
    }

    /// <summary>How much of a later circuit reads what each component writes: CS(C_i, M) = ‖v_iᵀ M‖ / ‖M‖, whatever s_i and u_i are.</summary>
    /// <param name="next">M.</param>
    /// <returns>[k], each 0 to 1; 0 for a component that writes nothing, and if M is zero.</returns>
    public double[] ComponentScores(Circuit next)
    {
        using var scope = NewDisposeScope();
        double norm = next.Norm;
        using var values = tensor(next.Values, device: Writing.device);
        double[] lengths = (PairScores(next) * values).norm(dim: 1, keepdim: false).cpu().data<double>().ToArray();
        return [.. lengths.Select((length, i) => Writes(i) && norm > 0 ? Math.Min(1, length / norm) : 0)];
    }

    /// <summary>CS = ‖M1 M2‖_F / (‖M1‖_F ‖M2‖_F), 0 to 1: the root of the mean of the squared component scores, weighted by s_i².</summary>
    /// <param name="componentScores">What <see cref="ComponentScores"/> gives for M2.</param>
    public double CompositionScore(IReadOnlyList<double> componentScores)
    {
        double norm = Norm;
        return norm > 0 ? Math.Sqrt(Values.Zip(componentScores).Sum(item => Math.Pow(item.First / norm * item.Second, 2))) : 0;
    }

    /// <summary>CS = ‖M1 M2‖_F / (‖M1‖_F ‖M2‖_F) with a later circuit, 0 to 1.</summary>
    /// <param name="next">M2.</param>
    public double CompositionScore(Circuit next) => CompositionScore(ComponentScores(next));

    /// <summary>The components in clusters of nearly equal singular values, within which they are free to mix: only what is said of a whole cluster has a meaning.</summary>
    /// <param name="tolerance">A neighbour belongs to the cluster if its singular value is smaller by at most this share.</param>
    public IReadOnlyList<IReadOnlyList<int>> Clusters(double tolerance)
    {
        var clusters = new List<List<int>>();
        for (int i = 0; i < Values.Length && Writes(i); i++)
        {
            if (i == 0 || Values[i] < (1 - tolerance) * Values[i - 1])
            {
                clusters.Add([]);
            }

            clusters[^1].Add(i);
        }

        return clusters;
    }

    private bool Writes(int component) => Values[component] > Projection.ZeroTolerance * Values[0];
}
