using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Table and codes of one matrix, tuned on the layer's own outputs in closed form: a table of least squares and a pass over the candidates in turn. Never worse than the start.</summary>
/// <remarks>It takes the place of training by gradients for one layer (arXiv:2408.17131 trains both); every half of a round lowers the loss or ends the search.</remarks>
internal sealed class LayerCodebook
{
    private const double LeastGain = 1e-6;

    private readonly Tensor matrix;
    private readonly Tensor gram;
    private readonly Vq4Dit step;
    private readonly List<double> trace = [];

    /// <summary>A matrix and its inputs.</summary>
    /// <param name="matrix">W [m, n].</param>
    /// <param name="gram">G [n, n] float64, contiguous: Σ x xᵀ divided by the samples.</param>
    /// <param name="step">Candidates and rounds.</param>
    public LayerCodebook(Tensor matrix, Tensor gram, Vq4Dit step) => (this.matrix, this.gram, this.step) = (matrix, gram, step);

    /// <summary>The loss of the start and after each half of each round: the mean squared error of the outputs, float64.</summary>
    public IReadOnlyList<double> Trace => trace;

    /// <summary>Tunes.</summary>
    /// <param name="codebook">The first table [k, d]; as it would be stored.</param>
    /// <param name="codes">Its codes [m, n / d] int16.</param>
    /// <param name="tableType">What the table is rounded to in the end; float64 for the exact method.</param>
    /// <returns>Table float64, rounded, codes and their loss; in the caller's dispose scope.</returns>
    public (Tensor Codebook, Tensor Codes, double Loss) Tune(Tensor codebook, Tensor codes, ScalarType tableType)
    {
        using var scope = NewDisposeScope();
        var first = (Codebook: codebook.to(float64, copy: true), Codes: codes.clone(), Loss: Loss(codebook.to(float64), codes));
        var best = first;
        trace.Add(best.Loss);
        for (int round = 0; round < step.Alternations; round++)
        {
            double before = best.Loss;
            best = Better(best, (LeastSquaresCodebook.Fit(matrix, gram, best.Codes, best.Codebook), best.Codes));
            best = Better(best, (best.Codebook, Pass(best.Codes, best.Codebook)));
            if (best.Loss >= before * (1 - LeastGain))
            {
                break;
            }
        }

        // The table is rounded before the last codes are chosen, so that they make up for it.
        var stored = best.Codebook.to(tableType).to(float64);
        var last = (Codebook: stored, Codes: Pass(best.Codes, stored), Loss: 0.0);
        last.Loss = Loss(last.Codebook, last.Codes);
        var result = last.Loss < first.Loss ? last : first;
        return (result.Codebook.MoveToOuterDisposeScope(), result.Codes.MoveToOuterDisposeScope(), result.Loss);
    }

    /// <summary>tr(E G Eᵀ) / m, E = W(C) − W.</summary>
    public double Loss(Tensor codebook, Tensor codes)
    {
        double sum = 0;
        foreach (var (first, height) in RowBlocks.Of(matrix.shape[0], matrix.shape[1]))
        {
            using var scope = NewDisposeScope();
            sum += WeightedError.Energy(matrix.narrow(0, first, height), VectorQuantization.Look(codes.narrow(0, first, height), codebook), gram);
        }

        return sum / matrix.shape[0];
    }

    private (Tensor Codebook, Tensor Codes, double Loss) Better((Tensor Codebook, Tensor Codes, double Loss) best, (Tensor Codebook, Tensor Codes) other)
    {
        double loss = Loss(other.Codebook, other.Codes);
        var better = loss < best.Loss ? (other.Codebook, other.Codes, loss) : best;
        trace.Add(better.Item3);
        return better;
    }

    private Tensor Pass(Tensor codes, Tensor codebook)
    {
        using var scope = NewDisposeScope();
        var moved = codes.clone();
        var (candidates, distances) = VectorQuantization.Candidates(matrix, codebook, (int)Math.Min(step.CandidateCount, codebook.shape[0]));
        distances.Dispose();
        new CandidateDescent(gram, codebook.contiguous()).Pass(matrix, moved, candidates);
        return moved.MoveToOuterDisposeScope();
    }
}
