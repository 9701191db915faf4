using PipelineDsl.Runtime.Execution;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Execution;

public sealed class RunnerFactoryTests
{
    private const long Side = 512;

    private static readonly Dictionary<string, Func<Expression>> Large = new(StringComparer.Ordinal)
    {
        ["grid"] = () => Grid(new Quantize()),
        ["8 bits"] = () => Grid(new Quantize { Bits = 8, Symmetric = false }),
        ["grid and low rank"] = () => new Sum(Grid(new Quantize()), new Product(Weights.Forms.Dense(Side, 4), Weights.Forms.Dense(4, Side))),
        ["table and sparse"] = () => new Sum(Weights.Forms.Looked(Side, Side, Side, 8, 1), Weights.Forms.Scattered(Side, Side, 0.01)),
        ["scaled grid"] = () => new Scaled(Weights.Forms.Random([Side]), Grid(new Quantize { Symmetric = false }), Weights.Forms.Random([Side], float16), 0.5),
        ["permuted grid"] = () => new Permuted(Grid(new Quantize()), arange(Side - 1, -1, -1, dtype: int32)),
        ["grids of factors"] = () => new Product(Weights.Forms.Quantized(Side, Side, new Quantize()), Weights.Forms.Quantized(Side, Side, new Quantize())),
        ["flat blocks"] = () => new Reshaped(Weights.Forms.Quantized(1, Side * Side, new Quantize { GroupSize = 64 }), Side, Side),
        ["rounded inputs"] = () => new QuantizedInputs(new(DynamicFormat.Int8, 64), Grid(new Quantize())),
    };

    public static TheoryData<string, long, bool> Cases => new MatrixTheoryData<string, long, bool>(Large.Keys, [1, 40], [true, false]);

    [Theory]
    [MemberData(nameof(Cases))]
    public void An_installed_layer_computes_what_the_form_does(string name, long tokens, bool hasBias)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var form = Large[name]();
        RunnerFactory.Pays(form).ShouldBe(PackedRunner.IsSupported);
        using var linear = nn.Linear(Side, Side, hasBias);
        var bias = hasBias ? linear.bias!.clone() : zeros(Side);
        LayerInstaller.Install(new("fc", linear), form, null, onlyLookedUp: false, packed: true);
        var x = randn(2, tokens, Side, generator: new Generator(4));
        var y = linear.call(x);
        y.ShouldBeNear(form.Apply(x) + bias, 2e-5);
        Compare.SameBits(linear.call(x), y).ShouldBeTrue();
        if (PackedRunner.IsSupported)
        {
            linear.weight!.shape.ShouldBe([Side, 0]);
            linear.named_buffers().Sum(item => item.buffer.numel() * item.buffer.element_size()).ShouldBeLessThan(name == "grids of factors" ? Side * Side * 2 : Side * Side * 4 / 3);
        }
    }

    [Fact]
    public void Small_and_dense_weights_do_not_pay()
    {
        using var scope = NewDisposeScope();
        using var small = Weights.Forms.Quantized(64, 64, new Quantize());
        using var dense = Weights.Forms.Dense(Side, Side);
        using var odd = Grid(new Quantize { GroupSize = 20 });
        RunnerFactory.Pays(small).ShouldBeFalse();
        RunnerFactory.Pays(dense).ShouldBeFalse();
        RunnerFactory.Pays(odd).ShouldBeFalse();
    }

    [Fact]
    public void Calls_leave_nothing_alive()
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var form = Large["table and sparse"]();
        using var linear = nn.Linear(Side, Side);
        LayerInstaller.Install(new("fc", linear), form, null, onlyLookedUp: false, packed: true);
        var x = randn(3, Side, generator: new Generator(4));
        linear.call(x).Dispose();
        Formats.TensorCount.GrowthOf(() => linear.call(x).Dispose()).ShouldBe(0);
    }

    private static Grid Grid(Quantize step) => Weights.Forms.Quantized(Side, Side, step);
}
