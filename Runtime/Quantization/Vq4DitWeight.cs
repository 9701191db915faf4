using PipelineDsl.Runtime.Optimization;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>A weight whose dense matrices all learn their codes and tables.</summary>
internal sealed class Vq4DitWeight : MatrixwiseWeight<Vq4DitMatrix>
{
    private const double PublishedAlpha = 0.9;

    /// <summary>Begins with the tables of a weight's matrices.</summary>
    /// <param name="weight">The weight; still the caller's.</param>
    /// <param name="codebooks">The table [k, d] of each dense matrix, in their order; still the caller's.</param>
    /// <param name="bias">A bias [rows] that is trained with them, or null; still the caller's.</param>
    /// <param name="tableType">What tables are rounded to; float64 for the exact method.</param>
    /// <param name="step">The settings.</param>
    /// <param name="alpha">What stays of the mean squared gradient in each step.</param>
    public Vq4DitWeight(Expression weight, IEnumerable<Tensor> codebooks, Tensor? bias, ScalarType tableType, Vq4Dit step, double alpha = PublishedAlpha)
        : this(weight, new Queue<Tensor>(codebooks), bias, tableType, step, alpha)
    {
    }

    private Vq4DitWeight(Expression weight, Queue<Tensor> codebooks, Tensor? bias, ScalarType tableType, Vq4Dit step, double alpha)
        : base(weight, dense => new(dense.Matrix, codebooks.Dequeue(), tableType, step))
    {
        Bias = bias is null ? null : TunedGrid.Leaf(bias.to(float32));
        Groups =
        [
            new(new RmsProp(step.RatioRate) { Alpha = alpha }, [.. Matrices.Select(matrix => matrix.Logits)]),
            new(new RmsProp(step.TableRate) { Alpha = alpha }, [.. Matrices.Select(matrix => matrix.Codebook)]),
            new(new RmsProp(step.BiasRate) { Alpha = alpha }, Bias is null ? [] : [Bias]),
        ];
    }

    /// <inheritdoc/>
    public override IReadOnlyList<TrainableGroup> Groups { get; }

    /// <inheritdoc/>
    public override Tensor? Bias { get; }

    /// <inheritdoc/>
    /// <remarks><c>fixedShare</c>: runs whose codeword was decided; <c>regularisedSteps</c>: steps with the regulariser; <c>hardStep</c>: when the last table began to train, where all did.</remarks>
    public override IReadOnlyDictionary<string, double> Facts
    {
        get
        {
            var facts = new Dictionary<string, double>
            {
                ["fixedShare"] = Matrices.Sum(matrix => matrix.FixedShare * matrix.Candidates.shape[0]) / Matrices.Sum(matrix => matrix.Candidates.shape[0]),
                ["regularisedSteps"] = Matrices.Max(matrix => matrix.RegularisedSteps),
            };
            if (Matrices.All(matrix => matrix.HardStep is not null))
            {
                facts["hardStep"] = Matrices.Max(matrix => matrix.HardStep!.Value);
            }

            return facts;
        }
    }

    /// <inheritdoc/>
    public override Tensor? Penalty(double loss)
    {
        var penalties = Matrices.Select(matrix => matrix.Penalty()).OfType<Tensor>().ToList();
        return penalties.Count == 0 ? null : penalties.Aggregate((sum, penalty) => sum + penalty);
    }

    /// <inheritdoc/>
    public override void AfterStep(int step, int steps)
    {
        foreach (var matrix in Matrices)
        {
            matrix.AfterStep();
        }
    }
}
