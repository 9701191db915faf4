using PipelineDsl.Runtime.Optimization;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>A weight whose dense matrices were put on grids: scales and offsets are trained, codes stay bit for bit (decoupleQ, arXiv:2404.12759, second stage).</summary>
/// <remarks>Both are rounded to their stored dtypes straight through, so that what is trained is what is stored. A grid without offsets keeps to its zero.</remarks>
public sealed class TunedGrids : TrainableWeight
{
    private readonly Expression template;
    private readonly List<TunedGrid> grids;

    /// <summary>Takes over scales and offsets as they are.</summary>
    /// <param name="template">The weight before it was quantised; still the caller's.</param>
    /// <param name="quantised">The same form with a <see cref="Grid"/> in place of each dense matrix; still the caller's.</param>
    /// <param name="bias">A bias [rows] that is trained with them, or null; still the caller's.</param>
    /// <param name="rule">How they are trained.</param>
    /// <exception cref="ArgumentException">A grid's scales or zero points are of another kind than plain scales and offsets.</exception>
    public TunedGrids(Expression template, Expression quantised, Tensor? bias, UpdateRule rule)
    {
        this.template = template.RewriteDense(dense => new Dense(dense.Matrix.alias()));
        grids = [.. GridsOf(quantised).Select(grid => new TunedGrid(grid))];
        Bias = bias is null ? null : TunedGrid.Leaf(bias.to(float32));
        Groups = [new(rule, [.. grids.SelectMany(grid => grid.Trained), .. Bias is null ? Array.Empty<Tensor>() : [Bias]])];
    }

    /// <inheritdoc/>
    public override IReadOnlyList<TrainableGroup> Groups { get; }

    /// <inheritdoc/>
    public override Tensor? Bias { get; }

    /// <inheritdoc/>
    public override Tensor Soft()
    {
        int next = 0;
        using var weight = template.RewriteDense(_ => new Dense(grids[next++].Soft()));
        return weight.Materialize();
    }

    /// <inheritdoc/>
    public override Expression Harden()
    {
        int next = 0;
        return template.RewriteDense(_ => grids[next++].Harden());
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            template.Dispose();
            grids.ForEach(grid => grid.Dispose());
        }

        base.Dispose(disposing);
    }

    /// <summary>In the order in which dense matrices are rewritten; what a grid is made of itself is left alone.</summary>
    private static IEnumerable<Grid> GridsOf(Expression weight) => weight is Grid grid ? [grid] : weight.Parts.SelectMany(GridsOf);
}
