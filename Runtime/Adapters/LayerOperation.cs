using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>What a layer does with its weight, before its bias.</summary>
/// <remarks>
/// Adapters see the weight as a matrix [units, inputs]: a linear weight as it is, a kernel with all that one output reads in a row, and a table turned, for looking a row up is multiplying
/// by a column that is one at the row's place.
/// </remarks>
public abstract record LayerOperation
{
    /// <summary>The product of a linear layer.</summary>
    public static LayerOperation Linear { get; } = new LinearOperation();

    /// <summary>The rows of a table.</summary>
    public static LayerOperation Lookup { get; } = new LookupOperation();

    /// <summary>Applies a weight of the layer's kind.</summary>
    /// <param name="x">Inputs: [..., in], ids [...] int64, or [samples, channels, sizes...].</param>
    /// <param name="weight">[out, in], a table [rows, width], or a kernel [out, in / groups, sizes...].</param>
    /// <returns>Outputs; the caller owns them.</returns>
    public abstract Tensor Apply(Tensor x, Tensor weight);

    /// <summary>A weight as a matrix [units, inputs]; a view.</summary>
    public abstract Tensor Matrix(Tensor weight);

    /// <summary>A matrix [units, inputs] in a weight's shape; a view.</summary>
    public abstract Tensor Shaped(Tensor matrix, long[] shape);

    /// <summary>Numbers that belong to the units of an output, so that they multiply it; a view.</summary>
    /// <param name="units">[units].</param>
    /// <param name="output">An output of the layer.</param>
    public abstract Tensor OverUnits(Tensor units, Tensor output);

    /// <summary>Mixes the units of an output: each new unit is a row's sum over the old ones.</summary>
    /// <param name="output">An output of the layer with as many units as the matrix has columns.</param>
    /// <param name="matrix">[new units, units].</param>
    /// <returns>The output with new units; the caller owns it.</returns>
    public abstract Tensor Mix(Tensor output, Tensor matrix);

    private sealed record LinearOperation : LayerOperation
    {
        public override Tensor Apply(Tensor x, Tensor weight) => nn.functional.linear(x, weight);

        public override Tensor Matrix(Tensor weight) => weight;

        public override Tensor Shaped(Tensor matrix, long[] shape) => matrix;

        public override Tensor OverUnits(Tensor units, Tensor output) => units;

        public override Tensor Mix(Tensor output, Tensor matrix) => nn.functional.linear(output, matrix);
    }

    private sealed record LookupOperation : LayerOperation
    {
        public override Tensor Apply(Tensor x, Tensor weight) => weight.index_select(0, x.flatten()).reshape([.. x.shape, weight.shape[1]]);

        public override Tensor Matrix(Tensor weight) => weight.mT;

        public override Tensor Shaped(Tensor matrix, long[] shape) => matrix.mT;

        public override Tensor OverUnits(Tensor units, Tensor output) => units;

        public override Tensor Mix(Tensor output, Tensor matrix) => nn.functional.linear(output, matrix);
    }
}
