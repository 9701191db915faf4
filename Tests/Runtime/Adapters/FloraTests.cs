using PipelineDsl.Runtime.Adapters;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Adapters;

/// <summary>What a core with one factor an axis promises.</summary>
public sealed class FloraTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(3)]
    public void The_change_is_the_core_multiplied_along_every_axis(int axes)
    {
        using var scope = NewDisposeScope();
        long[] shape = [7, 5, .. new long[] { 3, 2, 4 }[..axes]];
        int[] ranks = [2, 3, .. new[] { 2, 1, 2 }[..axes]];
        using var adapter = new Flora { Ranks = string.Join('x', ranks), Scaling = 1.5 }.Attach(zeros(shape, dtype: float64), Operation(axes, 1, 0), 1).Moved(1);
        var p = adapter.Parameters.Select(parameter => parameter.Value.detach()).ToArray();
        string equation = axes switch { 0 => "ab,ia,ob->oi", 2 => "abcd,ia,ob,uc,vd->oiuv", _ => "abcde,ia,ob,uc,vd,we->oiuvw" };
        var change = adapter.Merge();
        change.ShouldBeNear(einsum(equation, p).mul(1.5), 1e-12);

        long[] bounds = [ranks[1], ranks[0], .. ranks[2..]];
        for (int axis = 0; axis < shape.Length; axis++)
        {
            linalg.matrix_rank(change.movedim([axis], [0]).flatten(1)).item<long>().ShouldBeLessThanOrEqualTo(bounds[axis]);
        }
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 2)]
    [InlineData(1, 1)]
    public void A_factored_convolution_is_the_one_with_the_change(int stride, int padding)
    {
        using var scope = NewDisposeScope();
        var (weight, x) = (Random(1, 7, 5, 3, 2), Random(2, 2, 5, 8, 9));
        using var adapter = new Flora { Ranks = "2x3x2x2" }.Attach(weight, Operation(2, stride, padding), 1);
        adapter.Output(x, null).ShouldBeNear(adapter.Operation.Apply(x, weight), 1e-14);
        adapter.Moved().ShouldMerge(x);
        adapter.ShouldHaveTrueGradients(x);
    }

    [Fact]
    public void With_the_identity_between_them_the_factors_are_LoRA_s()
    {
        using var scope = NewDisposeScope();
        var (weight, inputs, outputs) = (Random(1, 9, 12), Random(2, 12, 3), Random(3, 9, 3));
        using var flora = new Flora { Ranks = "3x3", Scaling = 2 }.Attach(weight, LayerOperation.Linear, 1).With(eye(3, dtype: float64), inputs, outputs);
        using var lora = new Lora { Rank = 3, Alpha = 6 }.Attach(weight, LayerOperation.Linear, 1).With(inputs.mT, outputs);
        flora.Merge().ShouldBeNear(lora.Merge(), 1e-14);
    }

    [Fact]
    public void Full_ranks_represent_any_change()
    {
        using var scope = NewDisposeScope();
        var target = Random(1, 4, 5, 3, 2);
        Tensor[] bases = [Basis(target, 1), Basis(target, 0), Basis(target, 2), Basis(target, 3)];
        var core = einsum("oiuv,ia,ob,uc,vd->abcd", [target, .. bases]);
        using var adapter = new Flora { Ranks = "5x4x3x2" }.Attach(zeros_like(target), Operation(2, 1, 0), 1).With([core, .. bases]);
        adapter.Merge().ShouldBeNear(target, 1e-10);
    }

    [Fact]
    public void Other_bases_of_the_same_spaces_change_nothing()
    {
        using var scope = NewDisposeScope();
        var weight = Random(1, 7, 5, 3, 2);
        using var adapter = new Flora { Ranks = "2x3x2x2" }.Attach(weight, Operation(2, 1, 0), 1).Moved();
        var before = adapter.Merge();
        var turn = Random(5, 3, 3);
        var p = adapter.Parameters.Select(parameter => parameter.Value.detach().clone()).ToArray();
        adapter.With(einsum("abcd,eb->aecd", p[0], linalg.inv(turn)), p[1], p[2].mm(turn), p[3], p[4]);
        adapter.Merge().ShouldBeNear(before, 1e-11);
    }

    [Theory]
    [InlineData(2, 3)]
    [InlineData(3, 2)]
    public void It_is_a_plain_low_rank_change_of_the_smaller_rank(int inputRank, int outputRank)
    {
        using var scope = NewDisposeScope();
        var weight = Random(1, 9, 12);
        using var adapter = new Flora { Ranks = $"{inputRank}x{outputRank}", Scaling = 2 }.Attach(weight, LayerOperation.Linear, 1).Moved();
        using var plain = adapter.AsLowRank()!;
        plain.A.shape[0].ShouldBe(2);
        (weight + plain.B.mm(plain.A).mul(plain.Scaling)).ShouldBeNear(adapter.Merge(), 1e-13);

        var kernel = Random(2, 7, 5, 3, 2);
        using var convolution = new Flora { Ranks = $"{inputRank}x{outputRank}x2x2", Scaling = 2 }.Attach(kernel, Operation(2, 1, 0), 1).Moved();
        using var kernels = convolution.AsLowRank()!;
        (kernel + einsum("or,riuv->oiuv", kernels.B, kernels.A).mul(kernels.Scaling)).ShouldBeNear(convolution.Merge(), 1e-13);
    }

    [Fact]
    public void Ranks_that_do_not_fit_and_tables_are_refused()
    {
        using var scope = NewDisposeScope();
        Should.Throw<ArgumentException>(() => new Flora { Ranks = "2x2" }.Attach(Random(1, 7, 5, 3, 2), Operation(2, 1, 0), 1)).Message.ShouldBe("2 ranks for a weight of 4 axes; give one an axis: inputs, outputs, then the kernel's");
        Should.Throw<ArgumentException>(() => new Flora { Ranks = "6x2" }.Attach(Random(1, 7, 5), LayerOperation.Linear, 1)).Message.ShouldBe("ranks 6x2 exceed a weight of 5x7 (inputs, outputs, kernel); use at most its sizes");
        Should.Throw<NotSupportedException>(() => new Flora().Attach(Random(1, 7, 5), LayerOperation.Lookup, 1)).Message.ShouldBe("'flora' works on Linear, Conv2d layers only");
    }

    private static LayerOperation Operation(int axes, long stride, long padding) => axes == 0
        ? LayerOperation.Linear
        : new ConvolutionOperation([.. Enumerable.Repeat(stride, axes)], [.. Enumerable.Repeat(padding, axes)], [.. Enumerable.Repeat(1L, axes)]);

    /// <summary>An orthonormal basis of the columns of an unfolding.</summary>
    private static Tensor Basis(Tensor target, int axis) => linalg.svd(target.movedim([axis], [0]).flatten(1), fullMatrices: false).U;

    private static Tensor Random(int seed, params long[] shape) => AdapterChecks.Random(seed, shape);
}
