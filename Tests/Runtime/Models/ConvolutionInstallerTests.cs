using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Tests.Weights;
using PipelineDsl.Runtime.Weights;
using TorchSharp;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Models;

public sealed class ConvolutionInstallerTests
{
    private const long In = 6;
    private const long Out = 9;

    public static TheoryData<bool, bool, bool> Biases => new MatrixTheoryData<bool, bool, bool>([true, false], [true, false], [true, false]);

    public static TheoryData<string, bool> Geometries => new MatrixTheoryData<string, bool>(["plain", "stride", "padding", "dilation", "all", "tall", "wide", "same", "same dilated", "even same", "reflect", "same circular"], [true, false]);

    [Theory]
    [MemberData(nameof(Geometries))]
    public void Factors_run_as_the_dense_kernel_does(string geometry, bool spatial)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var installed = Convolution(geometry, bias: true);
        using var expected = Convolution(geometry, bias: true);
        using var weight = Factors(installed.weight!.shape, spatial);
        expected.weight!.copy_(weight.Materialize().reshape(expected.weight.shape));
        expected.bias!.copy_(installed.bias!);
        LayerInstaller.Install(new("conv", installed), weight, null, onlyLookedUp: false);
        foreach (long[] shape in new long[][] { [2, In, 13, 11], [In, 13, 11] })
        {
            var x = Forms.Random(shape);
            installed.call(x).ShouldBeNear(expected.call(x), 2e-6);
        }

        bool dense = spatial && geometry == "same circular";
        (installed.weight!.numel() < expected.weight.numel()).ShouldBe(!dense);
        Release(installed);
    }

    [Theory]
    [MemberData(nameof(Biases))]
    public void A_new_bias_replaces_the_old_one_or_is_added(bool spatial, bool had, bool given)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var installed = Convolution("all", had);
        using var expected = Convolution("all", bias: true);
        using var weight = Factors(installed.weight!.shape, spatial);
        var bias = given ? Forms.Random([Out]) : had ? installed.bias!.clone() : zeros(Out);
        expected.weight!.copy_(weight.Materialize().reshape(expected.weight.shape));
        expected.bias!.copy_(bias);
        LayerInstaller.Install(new("conv", installed), weight, given ? bias : null, onlyLookedUp: false);
        var x = Forms.Random([2, In, 13, 11]);
        installed.call(x).ShouldBeNear(expected.call(x), 2e-6);
        Release(installed);
    }

    [Fact]
    public void A_dense_result_may_bring_a_bias()
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var installed = Convolution("plain", bias: false);
        using var weight = new Dense(Forms.Random([Out, In * 9]));
        var bias = Forms.Random([Out]);
        LayerInstaller.Install(new("conv", installed), weight, bias, onlyLookedUp: false);
        var x = Forms.Random([2, In, 13, 11]);
        installed.call(x).ShouldBeNear(nn.functional.conv2d(x, weight.Matrix.reshape(Out, In, 3, 3), bias), 2e-6);
        Release(installed);
    }

    [Theory]
    [MemberData(nameof(Geometries))]
    public void The_product_of_patches_and_weight_is_the_convolution(string geometry, bool batched)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var convolution = Convolution(geometry, bias: false);
        var x = Forms.Random(batched ? [3, In, 13, 11] : [In, 13, 11]);
        var patches = ConvolutionGeometry.Of(convolution).Patches(x);
        var y = patches.matmul(convolution.weight!.flatten(1).mT).transpose(1, 2);
        var expected = convolution.call(x);
        y.reshape(expected.shape).ShouldBeNear(expected, 2e-6);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Running_factors_leaves_no_tensor_behind(bool spatial)
    {
        using var noGradients = no_grad();
        using var convolution = Convolution("all", bias: true);
        using var weight = Factors(convolution.weight!.shape, spatial);
        LayerInstaller.Install(new("conv", convolution), weight, null, onlyLookedUp: false);
        using var x = Forms.Random([2, In, 13, 11]);
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        using (NewDisposeScope())
        {
            convolution.call(x);
        }

        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
        Release(convolution);
    }

    private static Conv2d Convolution(string geometry, bool bias) => geometry switch
    {
        "plain" => nn.Conv2d(In, Out, 3, bias: bias),
        "stride" => nn.Conv2d(In, Out, (3, 3), stride: (2, 3), bias: bias),
        "padding" => nn.Conv2d(In, Out, (3, 3), padding: (1, 2), bias: bias),
        "dilation" => nn.Conv2d(In, Out, (3, 3), dilation: (2, 3), bias: bias),
        "all" => nn.Conv2d(In, Out, (3, 3), stride: (2, 3), padding: (2, 1), dilation: (2, 1), bias: bias),
        "tall" => nn.Conv2d(In, Out, (5, 2), padding: (2, 0), bias: bias),
        "wide" => nn.Conv2d(In, Out, (2, 5), stride: (2, 1), padding: (0, 2), bias: bias),
        "same" => nn.Conv2d(In, Out, 3, padding: Padding.Same, bias: bias),
        "same dilated" => nn.Conv2d(In, Out, (3, 3), padding: Padding.Same, dilation: (2, 3), bias: bias),
        "even same" => nn.Conv2d(In, Out, (4, 2), padding: Padding.Same, bias: bias),
        "same circular" => nn.Conv2d(In, Out, (3, 3), padding: Padding.Same, padding_mode: PaddingModes.Circular, bias: bias),
        _ => nn.Conv2d(In, Out, (3, 3), padding: (1, 2), padding_mode: PaddingModes.Reflect, bias: bias),
    };

    private static Expression Factors(long[] shape, bool spatial) => spatial
        ? new SpatialKernel(new Product(Forms.Dense(Out * shape[3], 4), Forms.Dense(4, In * shape[2])), shape[2], shape[3])
        : new Product(Forms.Dense(Out, 4), Forms.Dense(4, In * shape[2] * shape[3]));

    /// <summary>TorchSharp's layers leave buffers to the garbage collector.</summary>
    private static void Release(Conv2d convolution)
    {
        foreach (var buffer in convolution.buffers().ToList())
        {
            buffer.Dispose();
        }
    }
}
