using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>W + s G ×₀ U₀ ×₁ U₁ ⋯. A convolution is computed as one to few channels, a small kernel between few channels, and one to all channels.</summary>
/// <param name="operation">What the layer does.</param>
/// <param name="baseWeight">[out, in, sizes...].</param>
/// <param name="core">G [r_in, r_out, r...].</param>
/// <param name="factors">U₀ [in, r_in], U₁ [out, r_out], then [size, r] of each axis of the kernel.</param>
/// <param name="scaling">s.</param>
internal sealed class FloraAdapter(LayerOperation operation, Tensor baseWeight, Tensor core, IReadOnlyList<Tensor> factors, double scaling) : Adapter(operation, baseWeight)
{
    private const string CoreAxes = "cde";
    private const string KernelAxes = "uvw";

    private readonly Tensor core = core;

    /// <inheritdoc/>
    public override IReadOnlyList<(string Name, Tensor Value)> Parameters { get; } = [("G", core), .. factors.Select((factor, axis) => ($"U{axis}", factor))];

    private int Axes => factors.Count - 2;

    /// <inheritdoc/>
    public override bool IsAdditive => true;

    /// <inheritdoc/>
    private protected override Tensor Compute(Tensor x, Func<Tensor, Tensor> product)
    {
        var frozen = product(x);
        var few = Operation.Mix(x.to(core.dtype), factors[0].mT);
        return frozen + Operation.Mix(Operation.Apply(few, Kernel()).mul(scaling), factors[1]).to(frozen.dtype);
    }

    /// <inheritdoc/>
    private protected override Tensor Combine(Tensor weight) => weight + Change();

    /// <inheritdoc/>
    private protected override Tensor Separate(Tensor merged) => merged - Change();

    /// <inheritdoc/>
    private protected override LowRankDelta? LowRank() => Axes == 0 && core.shape[0] < core.shape[1]
        ? new(factors[0].mT, factors[1].mm(core.mT), scaling)
        : new(Widened(), factors[1], scaling);

    private Tensor Change()
    {
        var inner = Widened();
        return Operation.Shaped(factors[1].mm(Operation.Matrix(inner)), BaseShape).mul(scaling);
    }

    /// <summary>The kernel between few channels [r_out, r_in, sizes...].</summary>
    private Tensor Kernel()
    {
        string sums = CoreAxes[..Axes];
        string sizes = KernelAxes[..Axes];
        return einsum($"ab{sums}{string.Concat(sums.Zip(sizes, (rank, size) => $",{size}{rank}"))}->ba{sizes}", [core, .. factors.Skip(2)]);
    }

    /// <summary>The kernel from all inputs to few channels [r_out, in, sizes...].</summary>
    private Tensor Widened()
    {
        string sizes = KernelAxes[..Axes];
        return einsum($"ba{sizes},ia->bi{sizes}", Kernel(), factors[0]);
    }
}
