using PipelineDsl.Runtime.Adapters;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Tests.Adapters;
using PipelineDsl.Runtime.Weights;
using TorchSharp;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Models;

/// <summary>What adapters in a user's layers promise.</summary>
public sealed class AdapterInstallerTests
{
    private static readonly Dictionary<string, (Func<nn.Module<Tensor, Tensor>> Layer, Func<Tensor> Input)> Layers = new()
    {
        ["linear"] = (() => nn.Linear(12, 8), () => Input(5, 12)),
        ["linear, three axes"] = (() => nn.Linear(12, 8), () => Input(2, 5, 12)),
        ["linear without bias"] = (() => nn.Linear(12, 8, hasBias: false), () => Input(5, 12)),
        ["table"] = (() => nn.Embedding(20, 8), () => tensor([3L, 19, 0, 3]).reshape(2, 2)),
        ["convolution"] = (() => nn.Conv2d(4, 8, kernel_size: 3, stride: 2, padding: 1), () => Input(2, 4, 9, 9)),
        ["convolution without bias, of one sample"] = (() => nn.Conv2d(4, 8, (3L, 2L), (1L, 1L), (0L, 0L), (2L, 1L), bias: false), () => Input(4, 9, 9)),
        ["convolution that reflects"] = (() => nn.Conv2d(4, 8, kernel_size: 3, padding: 1, padding_mode: PaddingModes.Reflect), () => Input(2, 4, 9, 9)),
        ["convolution of the same size"] = (() => nn.Conv2d(4, 8, kernel_size: 4, padding: Padding.Same), () => Input(2, 4, 9, 9)),
    };

    public static TheoryData<string, string> Cases => new(
        from layer in Layers.Keys
        from step in Steps.Keys
        where !(layer.StartsWith("table", StringComparison.Ordinal) && step == "flora") && (layer.StartsWith("linear", StringComparison.Ordinal) || step is "lora" or "dora" or "flora" or "fineTune")
        select (layer, step));

    private static Dictionary<string, Adapt> Steps => new()
    {
        ["lora"] = new Lora { Rank = 3 },
        ["dora"] = new Lora { Rank = 3, WeightDecomposed = true },
        ["pissa"] = new Lora { Rank = 3, Start = LoraStart.Pissa },
        ["bone"] = new Bone { Rank = 5 },
        ["bat"] = new Bat { Rank = 4 },
        ["soka"] = new Soka(),
        ["tlora"] = new Tlora { Rank = 2 },
        ["flora"] = new Flora(),
        ["fineTune"] = new FineTune(),
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_layer_computes_and_trains_what_the_merged_weight_does_and_comes_back_as_it_was(string name, string method)
    {
        using var scope = NewDisposeScope();
        using var layer = Fill(Layers[name].Layer());
        var place = new ModelLayer("fc", layer);
        var x = Layers[name].Input();
        var (weight, names) = (place.Weight, Names(layer));
        var before = State(layer);
        var original = layer.call(x).detach();
        using var adapter = Steps[method].Attach(weight, LayerOperations.Of(layer), 1);
        using (AdapterInstaller.Install(place, adapter))
        {
            layer.call(x).detach().ShouldBeNear(original, 1e-5);
            adapter.Moved();
            var input = x.is_floating_point() ? x.clone().requires_grad_(true) : x;
            var y = layer.call(input);
            using (no_grad())
            {
                using var copy = Fill(Layers[name].Layer());
                new ModelLayer("fc", copy).Weight.copy_(adapter.Merge());
                y.ShouldBeNear(copy.call(x), 1e-5);
            }

            y.square().sum().backward();
            adapter.Parameters.ShouldAllBe(parameter => parameter.Value.grad!.abs().sum().item<float>() > 0);
            (weight.grad is null).ShouldBeTrue();
            if (x.is_floating_point())
            {
                input.grad!.abs().sum().item<float>().ShouldBeGreaterThan(0);
            }
        }

        Compare.SameBits(layer.call(x).detach(), original).ShouldBeTrue();
        (layer is Embedding || ReferenceEquals(place.Weight, weight)).ShouldBeTrue();
        Names(layer).ShouldBe(names);
        State(layer).Zip(before).ShouldAllBe(pair => Compare.SameBits(pair.First, pair.Second));
        place.Weight.requires_grad.ShouldBeTrue();
        adapter.Merge().shape.ShouldBe(weight.shape);
    }

    [Fact]
    public void Beside_a_weight_of_few_bits_the_layer_trains_without_a_dense_one()
    {
        using var scope = NewDisposeScope();
        using var layer = (Linear)Fill(nn.Linear(32, 24));
        using var grid = AdapterStepsTests.Quantized(24, 32);
        var step = new Lora { Rank = 4 };
        using var adapter = AdapterCatalog.For(step).Attach(step, grid, 1).Moved();
        var x = Input(5, 32).requires_grad_(true);
        using (AdapterInstaller.Install(new("fc", layer), adapter))
        {
            layer.weight!.numel().ShouldBe(0);
            var y = layer.call(x);
            y.detach().ShouldBeNear(nn.functional.linear(x, adapter.Merge(), layer.bias).detach(), 1e-5);
            y.sum().backward();
            x.grad!.ShouldBeNear(ones(5, 24).mm(adapter.Merge()), 1e-5);
        }

        layer.weight!.shape.ShouldBe([24, 32]);
    }

    [Fact]
    public void Training_passes_leave_nothing_behind()
    {
        using var scope = NewDisposeScope();
        using var layer = (Linear)Fill(nn.Linear(32, 24));
        using var grid = AdapterStepsTests.Quantized(24, 32);
        var step = new Lora { Rank = 4, Dropout = 0.1 };
        using var adapter = AdapterCatalog.For(step).Attach(step, grid, 1).Moved();
        var x = Input(5, 32);
        Pass(0);
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        for (int pass = 1; pass < 4; pass++)
        {
            Pass(pass);
        }

        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);

        void Pass(int number)
        {
            using var inner = NewDisposeScope();
            using var installed = AdapterInstaller.Install(new("fc", layer), adapter);
            adapter.Pass = new TrainingPass(1, "fc", number, 0);
            layer.call(x).square().sum().backward();
            adapter.Parameters.ShouldAllBe(parameter => parameter.Value.grad!.numel() > 0);
        }
    }

    [Fact]
    public void A_model_of_half_precision_stays_one()
    {
        using var scope = NewDisposeScope();
        using var layer = (Linear)Fill(nn.Linear(12, 8)).to(bfloat16);
        using var adapter = new Lora { Rank = 3 }.Attach(layer.weight!, LayerOperation.Linear, 1);
        using var installed = AdapterInstaller.Install(new("fc", layer), adapter);
        layer.call(Input(5, 12).to(bfloat16)).dtype.ShouldBe(bfloat16);
        adapter.Parameters[0].Value.dtype.ShouldBe(float32);
    }

    [Fact]
    public void Grouped_convolutions_are_refused()
    {
        using var layer = nn.Conv2d(4, 8, kernel_size: 3, groups: 2);
        Should.Throw<NotSupportedException>(() => LayerOperations.Of(layer)).Message.ShouldContain("several groups");
    }

    private static nn.Module<Tensor, Tensor> Fill(nn.Module<Tensor, Tensor> layer)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        int seed = 10;
        foreach (var (_, parameter) in layer.named_parameters())
        {
            parameter.copy_(AdapterChecks.Random(seed++, parameter.shape));
        }

        return layer;
    }

    private static string[] Names(nn.Module layer) => [.. layer.state_dict().Keys];

    private static Tensor[] State(nn.Module layer) => [.. layer.state_dict().Values.Select(value => value.detach().clone())];

    private static Tensor Input(params long[] shape) => AdapterChecks.Random(3, shape).to(float32);
}
