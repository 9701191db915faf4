using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>Starts adapters of one kind of step.</summary>
public abstract class AdapterMethod
{
    /// <summary>The step that it carries out.</summary>
    public abstract Type StepType { get; }

    /// <summary>Starts an adapter; the layer's output is the same as before.</summary>
    /// <param name="step">The step, of the method's kind.</param>
    /// <param name="weight">The layer's weight; copied where the method changes it, else shared and still the caller's.</param>
    /// <param name="operation">What the layer does with it.</param>
    /// <param name="seed">Decides every random number.</param>
    /// <returns>The adapter; the caller owns it.</returns>
    /// <exception cref="NotSupportedException">The method does not work on such a layer; the message says what it works on.</exception>
    /// <exception cref="ArgumentException">A setting does not fit the weight; the message says what fits.</exception>
    public Adapter Attach(Adapt step, Tensor weight, LayerOperation operation, long seed)
    {
        using var scope = NewDisposeScope();
        var detached = weight.detach();
        return Attach(step, detached, null, operation, seed);
    }

    /// <summary>Starts an adapter beside a weight of any form, of which no dense copy is kept: it is made for the start, and anew wherever it is needed.</summary>
    /// <param name="step">The step, of the method's kind.</param>
    /// <param name="weight">A linear layer's weight; shared and still the caller's. A method that does not keep it makes a dense one of its own.</param>
    /// <param name="seed">Decides every random number.</param>
    /// <returns>The adapter; the caller owns it.</returns>
    /// <exception cref="NotSupportedException">The method does not work on linear layers.</exception>
    /// <exception cref="ArgumentException">A setting does not fit the weight, or the form is no matrix (<see cref="Expression.IsLinear"/>).</exception>
    public Adapter Attach(Adapt step, Expression weight, long seed)
    {
        using var scope = NewDisposeScope();
        using var frozen = FrozenWeight.Of(weight);
        return Attach(step, frozen.Dense(), frozen, LayerOperation.Linear, seed);
    }

    /// <summary>Starts an adapter. Runs inside a dispose scope, without gradients.</summary>
    private protected abstract Adapter Begin(Adapt step, Tensor weight, LayerOperation operation, Generator generator);

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

    /// <summary>A layer's shape as the compiler sees it.</summary>
    private protected static LayerShape ShapeOf(Tensor weight, LayerOperation operation)
    {
        long[] shape = weight.shape;
        var kind = operation == LayerOperation.Linear ? LayerKinds.Linear : operation == LayerOperation.Lookup ? LayerKinds.Embedding : LayerKinds.Conv2d;
        return new(kind, shape[0], shape.Skip(1).Aggregate(1L, (columns, size) => columns * size)) { Kernel = shape.Length == 4 ? new(shape[2], shape[3], Groups: 1) : null };
    }

    private Adapter Attach(Adapt step, Tensor weight, FrozenWeight? form, LayerOperation operation, long seed)
    {
        var layer = ShapeOf(weight, operation);
        if ((step.AppliesTo & layer.Kind) == 0)
        {
            throw new NotSupportedException($"'{StepCatalog.Of(step).Name}' works on {step.AppliesTo} layers only");
        }

        if (step.Check(layer, new HashSet<string>()).FirstOrDefault() is { } problem)
        {
            throw new ArgumentException(problem.Message);
        }

        using var noGradients = no_grad();
        using var generator = new Generator((ulong)seed);
        var adapter = Begin(step, weight, operation, generator);
        adapter.Own(weight, form);
        return adapter;
    }
}

/// <summary>Starts adapters of <typeparamref name="TStep"/>.</summary>
/// <typeparam name="TStep">The step.</typeparam>
public abstract class AdapterMethod<TStep> : AdapterMethod
    where TStep : Adapt
{
    /// <inheritdoc/>
    public override Type StepType => typeof(TStep);

    private protected override Adapter Begin(Adapt step, Tensor weight, LayerOperation operation, Generator generator) => Begin((TStep)step, weight, operation, generator);

    /// <inheritdoc cref="AdapterMethod.Begin"/>
    private protected abstract Adapter Begin(TStep step, Tensor weight, LayerOperation operation, Generator generator);
}
