using PipelineDsl.Runtime.Execution;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Execution;

public sealed class PackedRunnerTests
{
    private static readonly Dictionary<string, Func<long, long, Expression>> Forms = new(StringComparer.Ordinal)
    {
        ["2 bits, groups of 16"] = (rows, columns) => Rounded(rows, columns, new Quantize { Bits = 2, GroupSize = 16 }),
        ["3 bits, groups of 32, asymmetric"] = (rows, columns) => Rounded(rows, columns, new Quantize { Bits = 3, GroupSize = 32, Symmetric = false }),
        ["4 bits, groups of 32, asymmetric"] = (rows, columns) => Rounded(rows, columns, new Quantize { Bits = 4, GroupSize = 32, Symmetric = false }),
        ["4 bits, groups of 48"] = (rows, columns) => Rounded(rows, columns, new Quantize { Bits = 4, GroupSize = 48 }),
        ["4 bits, groups of 64"] = (rows, columns) => Rounded(rows, columns, new Quantize { Bits = 4, GroupSize = 64 }),
        ["4 bits, groups of 128"] = (rows, columns) => Rounded(rows, columns, new Quantize { Bits = 4, GroupSize = 128, Symmetric = false }),
        ["4 bits, groups of 256"] = (rows, columns) => Rounded(rows, columns, new Quantize { Bits = 4, GroupSize = 256 }),
        ["4 bits a row"] = (rows, columns) => Rounded(rows, columns, new Quantize { Bits = 4, Granularity = Granularity.Channel, Symmetric = false }),
        ["5 bits, groups of 32"] = (rows, columns) => Rounded(rows, columns, new Quantize { Bits = 5, GroupSize = 32, ScaleType = ScaleType.Float32 }),
        ["8 bits, groups of 64, asymmetric"] = (rows, columns) => Rounded(rows, columns, new Quantize { Bits = 8, GroupSize = 64, Symmetric = false }),
        ["8 bits, one scale"] = (rows, columns) => Rounded(rows, columns, new Quantize { Bits = 8, Granularity = Granularity.Tensor }),
        ["offsets of halves"] = (rows, columns) => OnGrid(rows, columns, 4, 32, ZeroKind.Offset),
        ["offsets of halves, 7 bits"] = (rows, columns) => OnGrid(rows, columns, 7, 32, ZeroKind.Offset),
        ["levels with one offset"] = (rows, columns) => OnGrid(rows, columns, 3, 64, ZeroKind.SharedOffset),
        ["a table a row"] = (rows, columns) => Weights.Forms.Looked(rows, columns, rows, 16, 1),
        ["one table of 8"] = (rows, columns) => Weights.Forms.Looked(rows, columns, 1, 8, 1, float16),
    };

    public static TheoryData<string, long, long, long> Cases
    {
        get
        {
            var cases = new TheoryData<string, long, long, long>();
            foreach (string name in Forms.Keys)
            {
                cases.Add(name, 9, 200, 1);
                cases.Add(name, 12, 128, 6);
                cases.Add(name, 7, 384, 21);
                cases.Add(name, 5, 1152, 2);
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Every_route_gives_the_product_with_the_dequantised_matrix(string name, long rows, long columns, long tokens)
    {
        using var scope = NewDisposeScope();
        using var form = Forms[name](rows, columns);
        using var runner = PackedRunner.Of(form).ShouldNotBeNull();
        var dense = form.Materialize().to(float64);
        var x = randn(tokens, columns, dtype: float64, generator: new Generator(3));
        var expected = x.mm(dense.mT);
        runner.forward(x).ShouldBeNear(expected, 1e-5);
        runner.forward(x.to(float32)).ShouldBeNear(expected, 1e-5);
        var half = x.to(bfloat16);
        runner.forward(half).ShouldBeNear(half.to(float64).mm(dense.mT), 0.02);
        if (PackedRunner.IsSupported)
        {
            // Which of both dtypes many tokens are multiplied in depends on the processor.
            runner.MultiplyDense(half).ShouldBeNear(half.to(float64).mm(dense.mT), 0.02);
            runner.MultiplyDense(x.to(float32)).ShouldBeNear(expected, 1e-5);
        }

        var asked = x.to(float32).requires_grad_(true);
        runner.forward(asked).sum().backward();
        asked.grad!.ShouldBeNear(dense.sum([0]).unsqueeze(0).expand(tokens, -1), 1e-5);
    }

    [Theory]
    [InlineData("4 bits, groups of 32, asymmetric")]
    [InlineData("4 bits, groups of 64")]
    [InlineData("4 bits, groups of 128")]
    [InlineData("4 bits a row")]
    public void Inputs_of_all_sizes_keep_their_digits(string name)
    {
        using var scope = NewDisposeScope();
        using var form = Forms[name](9, 512);
        using var runner = PackedRunner.Of(form)!;
        var dense = form.Materialize().to(float64);
        foreach (double size in new[] { 1e-35, 1e-31, 1e-29, 1e-26, 1e-23, 1, 1e30 })
        {
            // A chunk of zeros, one with a number far above the others, one of large numbers.
            var x = randn(1, 512, dtype: float64, generator: new Generator(3));
            x.narrow(1, 0, 128).zero_();
            x[0, 200] = 3e3;
            x.narrow(1, 256, 128).mul_(1e2);
            x = x.mul(size).to(float32);
            runner.forward(x).to(float64).div(size).ShouldBeNear(x.to(float64).mm(dense.mT).div(size), 1e-5);
        }
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(double.NegativeInfinity)]
    public void What_is_not_finite_stays_what_it_is_and_leaves_other_tokens_alone(double value)
    {
        using var scope = NewDisposeScope();
        using var form = Forms["4 bits, groups of 256"](9, 512);
        using var runner = PackedRunner.Of(form)!;
        var x = randn(2, 512, generator: new Generator(3));
        x[0, 300] = (float)value;
        var y = runner.forward(x);
        y[0].isfinite().any().item<bool>().ShouldBeFalse();
        y[1].ShouldBeNear(form.Materialize().mv(x[1]), 1e-5);
    }

    [Fact]
    public void Leading_dimensions_stay()
    {
        using var scope = NewDisposeScope();
        using var form = Rounded(10, 128, new Quantize());
        using var runner = PackedRunner.Of(form)!;
        var x = randn(2, 3, 128, generator: new Generator(3));
        runner.forward(x).ShouldBeNear(x.matmul(form.Materialize().mT), 1e-5);
        runner.forward(x[0, 0]).shape.ShouldBe([10]);
    }

    [Fact]
    public void Inputs_of_another_width_are_refused_and_no_tokens_give_none()
    {
        using var scope = NewDisposeScope();
        using var form = Rounded(10, 256, new Quantize());
        using var runner = PackedRunner.Of(form)!;
        Should.Throw<System.Runtime.InteropServices.ExternalException>(() => runner.forward(ones(1, 128)));
        Should.Throw<System.Runtime.InteropServices.ExternalException>(() => runner.forward(ones(4, 128)));
        runner.forward(ones(0, 256)).shape.ShouldBe([0, 10]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(6)]
    public void Inputs_that_do_not_lie_row_after_row_are_read_as_they_are(long tokens)
    {
        using var scope = NewDisposeScope();
        using var form = Rounded(10, 256, new Quantize());
        using var runner = PackedRunner.Of(form)!;
        var x = randn(256, 2 * tokens, generator: new Generator(3)).mT.narrow(0, tokens, tokens);
        runner.forward(x).ShouldBeNear(x.matmul(form.Materialize().mT), 1e-5);
        var half = x.to(float16);
        runner.forward(half).dtype.ShouldBe(float16);
        runner.forward(half).ShouldBeNear(x.matmul(form.Materialize().mT), 2e-3);
    }

    [Theory]
    [InlineData("4 bits, groups of 32, asymmetric", ScalarType.BFloat16)]
    [InlineData("4 bits, groups of 32, asymmetric", ScalarType.Float16)]
    [InlineData("offsets of halves, 7 bits", ScalarType.Float16)]
    [InlineData("5 bits, groups of 32", ScalarType.BFloat16)]
    [InlineData("a table a row", ScalarType.Float16)]
    public void A_runner_that_is_cast_computes_as_before(string name, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        using var form = Forms[name](10, 256);
        using var runner = PackedRunner.Of(form)!;
        var x = randn(1, 256, generator: new Generator(3));
        var before = runner.forward(x);
        runner.to(dtype);
        foreach (long tokens in new[] { 30, 1 })
        {
            runner.forward(x.expand(tokens, -1)).ShouldBeNear(before.expand(tokens, -1), 0.02);
        }
    }

    [Fact]
    public void Results_do_not_depend_on_the_number_of_threads_and_leave_nothing_alive()
    {
        using var scope = NewDisposeScope();
        using var form = Rounded(1030, 512, new Quantize { Symmetric = false });
        using var runner = PackedRunner.Of(form)!;
        foreach (long tokens in new[] { 1, 5 })
        {
            var x = randn(tokens, 512, generator: new Generator(3));
            var one = runner.forward(x);
            set_num_threads(2);
            try
            {
                // Without the kernel the tensor library multiplies, whose sums depend on its threads.
                var two = runner.forward(x);
                (Compare.SameBits(two, one) || !PackedRunner.IsSupported).ShouldBeTrue();
                two.ShouldBeNear(one, 1e-5);
            }
            finally
            {
                set_num_threads(1);
            }
        }

        foreach (long tokens in new[] { 1, 5, 40 })
        {
            var x = randn(tokens, 512, generator: new Generator(3));
            runner.forward(x).Dispose();
            Formats.TensorCount.GrowthOf(() => runner.forward(x).Dispose()).ShouldBe(0);
        }
    }

    [Fact]
    public void Packed_bytes_are_those_of_codes_and_scales()
    {
        using var scope = NewDisposeScope();
        using var four = Rounded(64, 1024, new Quantize { GroupSize = 128 });
        using var runner = PackedRunner.Of(four)!;
        // With AVX2 codes are levels, and what they were moved by is a byte a group.
        long moves = PackedRunner.IsSupported && !SixteenLanes.AreWhole ? 64 * 8 : 0;
        runner.Bytes.ShouldBe((64 * 1024 / 2) + (64 * 8 * 2) + (16 * 4) + moves);
        using var eight = Rounded(64, 1024, new Quantize { Bits = 8, Granularity = Granularity.Channel });
        using var bytes = PackedRunner.Of(eight)!;
        bytes.Bytes.ShouldBe((64 * 1024) + (64 * 2));
    }

    [Fact]
    public void Forms_that_the_kernel_does_not_know_have_no_runner()
    {
        using var scope = NewDisposeScope();
        using var odd = Rounded(8, 100, new Quantize { GroupSize = 20 });
        PackedRunner.Of(odd).ShouldBeNull();
        using var large = Weights.Forms.Looked(8, 128, 8, 32, 1);
        PackedRunner.Of(large).ShouldBeNull();
        using var vectors = Weights.Forms.Looked(8, 128, 1, 16, 4);
        PackedRunner.Of(vectors).ShouldBeNull();
    }

    private static Grid Rounded(long rows, long columns, Quantize step) => Weights.Forms.Quantized(rows, columns, step);

    private static Grid OnGrid(long rows, long columns, int bits, int group, ZeroKind zeros)
    {
        using var scope = NewDisposeScope();
        bool levels = zeros == ZeroKind.SharedOffset;
        var geometry = new GridGeometry(rows, columns, bits, Signed: !levels, Granularity.Group, group);
        var codes = arange(rows * columns, dtype: int64).remainder(1 << bits).add(geometry.Lowest).reshape(rows, columns).to(int16);
        var offsets = Weights.Forms.Random(levels ? [1, 1] : geometry.ScaleShape, float16);
        return Grid.Pack(geometry, codes, Weights.Forms.Random(geometry.ScaleShape, float16), offsets, levels ? Weights.Forms.Random([1L << bits]) : null);
    }
}
