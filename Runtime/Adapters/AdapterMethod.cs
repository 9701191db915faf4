using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>A way to adapt a layer by few trained numbers.</summary>
public abstract record AdapterMethod
{
    /// <summary>Starts an adapter; the layer's output is the same as before.</summary>
    /// <param name="weight">The layer's weight; copied where the method changes it, else shared and still the caller's.</param>
    /// <param name="operation">What the layer does with it.</param>
    /// <param name="seed">Decides every random number.</param>
    /// <returns>The adapter; the caller owns it.</returns>
    /// <exception cref="NotSupportedException">The method does not work on such a layer; the message says what it works on.</exception>
    /// <exception cref="ArgumentException">A setting does not fit the weight; the message says what fits.</exception>
    public Adapter Attach(Tensor weight, LayerOperation operation, long seed)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var generator = new Generator((ulong)seed);
        var adapter = Begin(weight.detach(), operation, generator);
        adapter.Own();
        return adapter;
    }

    /// <summary>Starts an adapter. Runs inside a dispose scope, without gradients.</summary>
    private protected abstract Adapter Begin(Tensor weight, LayerOperation operation, Generator generator);

    /// <summary>The dtype of trained numbers: the weight's, but at least float32.</summary>
    private protected static ScalarType TrainedType(Tensor weight) => weight.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;

    /// <summary>A weight in the dtype of its trained numbers.</summary>
    private protected static Tensor Wide(Tensor weight) => weight.to(TrainedType(weight));

    /// <summary>Numbers from (−limit, limit), drawn on the CPU so that every device starts alike.</summary>
    private protected static Tensor Uniform(long[] shape, double limit, Tensor like, Generator generator) =>
        rand(shape, dtype: ScalarType.Float64, generator: generator).mul(2 * limit).sub(limit).to(TrainedType(like), like.device);

    /// <summary>Numbers of mean 0, drawn on the CPU so that every device starts alike.</summary>
    private protected static Tensor Normal(long[] shape, double deviation, Tensor like, Generator generator) =>
        randn(shape, dtype: ScalarType.Float64, generator: generator).mul(deviation).to(TrainedType(like), like.device);

    /// <summary>Zeros to train.</summary>
    private protected static Tensor Zero(long[] shape, Tensor like) => zeros(shape, dtype: TrainedType(like), device: like.device);

    /// <summary>Requires a linear layer.</summary>
    private protected void RequireLinear(LayerOperation operation)
    {
        if (operation != LayerOperation.Linear)
        {
            throw new NotSupportedException($"{GetType().Name} adapts linear layers only");
        }
    }

    /// <summary>Requires a rank that the weight can have.</summary>
    private protected static void RequireRank(int rank, long limit, string what)
    {
        if (rank < 1 || rank > limit)
        {
            throw new ArgumentException($"{what} {rank} is not between 1 and {limit}");
        }
    }
}
