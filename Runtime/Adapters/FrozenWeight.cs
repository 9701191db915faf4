using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>A weight that training leaves as it is.</summary>
internal abstract class FrozenWeight : IDisposable
{
    /// <summary>Its shape in the layer.</summary>
    public abstract long[] Shape { get; }

    /// <summary>Its dtype when dense.</summary>
    public abstract ScalarType Type { get; }

    /// <summary>A dense weight, in the caller's dispose scope; may share memory with this one.</summary>
    public abstract Tensor Dense();

    /// <summary>What the layer computes with it before its bias; gradients flow into the input.</summary>
    /// <returns>Outputs; the caller owns them.</returns>
    public abstract Tensor Apply(LayerOperation operation, Tensor x);

    /// <summary>A second owner of the same tensors.</summary>
    public abstract FrozenWeight Share();

    /// <inheritdoc/>
    public abstract void Dispose();

    /// <summary>A dense weight.</summary>
    /// <param name="weight">The weight; shared.</param>
    public static FrozenWeight Of(Tensor weight) => new DenseWeight(weight.alias().DetachFromDisposeScope());

    /// <summary>A linear layer's weight in any form; one that is not dense is made so only while it is used.</summary>
    /// <param name="weight">The weight; shared and still the caller's.</param>
    /// <exception cref="ArgumentException">The form is no matrix.</exception>
    public static FrozenWeight Of(Expression weight) => weight switch
    {
        Dense dense => Of(dense.Matrix),
        { IsLinear: true } => new FormWeight(Shared(weight)),
        _ => throw new ArgumentException($"a weight in the form '{weight.Form}' is no matrix, so nothing can be trained beside it; adapt a layer whose inputs are not rounded", nameof(weight)),
    };

    /// <summary>A second handle of every tensor of a form.</summary>
    public static Expression Shared(Expression weight) => weight.RewriteDense(dense => new Dense(dense.Matrix.alias()));

    private sealed class DenseWeight(Tensor weight) : FrozenWeight
    {
        public override long[] Shape => weight.shape;

        public override ScalarType Type => weight.dtype;

        public override Tensor Dense() => weight.alias();

        public override Tensor Apply(LayerOperation operation, Tensor x) =>
            operation.Apply(x, x.is_floating_point() && x.dtype != weight.dtype ? weight.to(x.dtype) : weight);

        public override FrozenWeight Share() => Of(weight);

        public override void Dispose() => weight.Dispose();
    }

    private sealed class FormWeight(Expression form) : FrozenWeight
    {
        public override long[] Shape => [form.Rows, form.Columns];

        public override ScalarType Type => form.Leaves().Any(leaf => leaf.Tensor.dtype == ScalarType.Float64) ? ScalarType.Float64 : ScalarType.Float32;

        public override Tensor Dense() => form.Materialize();

        public override Tensor Apply(LayerOperation operation, Tensor x) => FormProduct.Of(x, form);

        public override FrozenWeight Share() => new FormWeight(Shared(form));

        public override void Dispose() => form.Dispose();
    }
}
