using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>One dense matrix while it is trained.</summary>
internal interface ITrainableMatrix : IDisposable
{
    /// <summary>The matrix that the forward pass uses, differentiable; the current dispose scope owns it.</summary>
    Tensor Soft();

    /// <summary>The matrix as it would be stored now; the caller owns it.</summary>
    Expression Harden();
}

/// <summary>A weight whose dense matrices are trained side by side, whatever form is around them.</summary>
/// <typeparam name="TMatrix">What a matrix is while it is trained.</typeparam>
internal abstract class MatrixwiseWeight<TMatrix> : TrainableWeight
    where TMatrix : ITrainableMatrix
{
    private readonly Expression template;
    private readonly List<TMatrix> matrices = [];

    /// <summary>Begins with every dense matrix of a weight.</summary>
    /// <param name="weight">The weight; still the caller's.</param>
    /// <param name="begin">Makes the start of a matrix.</param>
    protected MatrixwiseWeight(Expression weight, Func<Dense, TMatrix> begin) => template = weight.RewriteDense(dense =>
    {
        matrices.Add(begin(dense));
        return new Dense(dense.Matrix.alias());
    });

    /// <summary>The matrices, in the order in which the weight's form names them.</summary>
    public IReadOnlyList<TMatrix> Matrices => matrices;

    /// <inheritdoc/>
    public override Tensor Soft()
    {
        int next = 0;
        using var weight = template.RewriteDense(_ => new Dense(matrices[next++].Soft()));
        return weight.Materialize();
    }

    /// <inheritdoc/>
    public override Expression Harden()
    {
        int next = 0;
        return template.RewriteDense(_ => matrices[next++].Harden());
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            template.Dispose();
            matrices.ForEach(matrix => matrix.Dispose());
        }

        base.Dispose(disposing);
    }
}
