using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>The product x Wᵀ with a weight that is dense only while it is used: once going forward, and again going back, where the gradient of x is that of y times W (QLoRA, arXiv:2305.14314).</summary>
internal sealed class FormProduct : autograd.SingleTensorFunction<FormProduct>
{
    private const string Form = "form";

    /// <inheritdoc/>
    public override string Name => nameof(FormProduct);

    /// <summary>The product.</summary>
    /// <param name="x">[…, columns].</param>
    /// <param name="form">The weight, which must live until gradients have been computed.</param>
    /// <returns>[…, rows] in the dtype of x; the caller owns it.</returns>
    public static Tensor Of(Tensor x, Expression form) => apply(x, form);

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext context, params object[] arguments)
    {
        var (x, form) = ((Tensor)arguments[0], (Expression)arguments[1]);
        context.save_data(Form, form);
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        return nn.functional.linear(x, Dense(form, x)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext context, Tensor gradient)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        return [gradient.matmul(Dense((Expression)context.get_data(Form), gradient)).MoveToOuterDisposeScope(), null!];
    }

    private static Tensor Dense(Expression form, Tensor like) => form.Materialize().to(like.dtype, like.device);
}
