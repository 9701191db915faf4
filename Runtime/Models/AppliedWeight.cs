using PipelineDsl.Runtime.Weights;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Models;

/// <summary>A weight that is no matrix, such as one with rounded inputs, in a linear layer whose own weight is zero: a hook adds what it computes.</summary>
internal sealed class AppliedWeight : IDisposable
{
    private readonly Expression weight;
    private readonly Action removeHook;

    /// <summary>Puts a weight beside a layer's own. What can be dense becomes so once, instead of at each call.</summary>
    /// <param name="linear">The layer.</param>
    /// <param name="weight">The weight, copied; still the caller's.</param>
    public AppliedWeight(Linear linear, Expression weight)
    {
        this.weight = Runnable(weight, linear.weight!.device);
        removeHook = linear.register_forward_hook((_, x, y) =>
        {
            using var added = this.weight.Apply(x);
            return y + added;
        }).remove;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        removeHook();
        weight.Dispose();
    }

    private static Expression Runnable(Expression weight, Device device) => weight switch
    {
        Product product => new Product(Runnable(product.Left, device), Runnable(product.Right, device)),
        { IsLinear: true } => new Dense(weight.Materialize().to(device)),
        Sum sum => new Sum([.. sum.Parts.Select(part => Runnable(part, device))]),
        Scaled scaled => new Scaled(Copy(scaled.RowScales, device), Runnable(scaled.Inner, device), Copy(scaled.ColumnScales, device), scaled.Factor),
        QuantizedInputs quantized => new QuantizedInputs(quantized.Inputs, Runnable(quantized.Inner, device), Copy(quantized.Offset, device)),
        _ => throw new InvalidOperationException($"a weight of form '{weight.Form}' around rounded inputs cannot be run"),
    };

    private static Tensor? Copy(Tensor? tensor, Device device) => tensor?.to(device, copy: true);
}
