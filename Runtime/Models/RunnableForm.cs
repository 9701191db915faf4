using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Models;

/// <summary>A weight expression flattened for running: y = x Dᵀ + Σ (x Rᵢᵀ) Lᵢᵀ.</summary>
/// <param name="Dense">D [rows, columns], or null when there is none.</param>
/// <param name="Products">The factor pairs L [rows, rank], R [rank, columns].</param>
internal sealed record RunnableForm(Tensor? Dense, IReadOnlyList<(Tensor Left, Tensor Right)> Products)
{
    /// <summary>Flattens an expression; grids become dense here, once, instead of at each call.</summary>
    public static RunnableForm Of(Expression weight) => weight switch
    {
        Sum sum => sum.Parts.Select(Of).Aggregate((a, b) => new(Add(a.Dense, b.Dense), [.. a.Products, .. b.Products])),
        Product { Parts: [var left, var right] } when left.Columns * (left.Rows + right.Columns) < left.Rows * right.Columns =>
            new(null, [(left.Materialize(), right.Materialize())]),
        _ => new(weight.Materialize(), []),
    };

    private static Tensor? Add(Tensor? a, Tensor? b) => a is null ? b : b is null ? a : a + b;
}
