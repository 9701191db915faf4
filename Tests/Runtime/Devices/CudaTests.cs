using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Tests.Stories;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Devices;

/// <summary>The same code on a GPU; left out where there is none.</summary>
[Trait("Category", "Cuda")]
public sealed class CudaTests
{
    private static readonly Dictionary<string, Decompose> Decompositions = new(StringComparer.Ordinal)
    {
        ["weight"] = new Decompose { Rank = 4, Orientation = Orientation.Weight },
        ["context"] = new Decompose { Rank = 4, Orientation = Orientation.Context },
        ["whitened"] = new Decompose { Rank = 4, Orientation = Orientation.Whitened },
        ["output"] = new Decompose { Rank = 4, Orientation = Orientation.Output },
        ["fisher"] = new Decompose { Rank = 4, Orientation = Orientation.Fisher },
        ["corda"] = new Corda { Rank = 4 },
        ["corda adapter"] = new Corda { Rank = 4, Use = CordaUse.Adapter, Mode = CordaMode.KnowledgePreserved },
        ["asvd"] = new Asvd { Rank = 4 },
        ["svdLlm"] = new SvdLlm { Rank = 4 },
        ["lord"] = new Lord { Rank = 4 },
        ["fwsvd"] = new Fwsvd { Rank = 4, Axis = FisherAxis.Both },
    };

    /// <summary>Steps that ask for every kind of statistics, and how near the perplexities must be: rounding and training enlarge what differs in the last digits.</summary>
    private static readonly Dictionary<string, (Step Step, double Tolerance)> Models = new(StringComparer.Ordinal)
    {
        ["whitened"] = (new Decompose { Rank = 20, Orientation = Orientation.Whitened }, 1e-3),
        ["context"] = (new Decompose { Rank = 20, Orientation = Orientation.Context }, 1e-3),
        ["fwsvd"] = (new Fwsvd { Rank = 20 }, 1e-3),
        ["bitStack"] = (new BitStack { Blocks = 2, Rank = 2, ScoringSamples = 2 }, 1e-2),
        ["gptq"] = (new Gptq(), 1e-2),
        ["awq"] = (new Awq(), 1e-2),
        ["squeezeLlm"] = (new SqueezeLlm { Bits = 4 }, 1e-2),
        ["svdQuant"] = (new SvdQuant { Rank = 8 }, 1e-2),
        ["decoupleQ"] = (new DecoupleQ { Bits = 4, Tune = DecoupleTuning.Block, TuneSteps = 10 }, 2e-2),
        ["flexRound"] = (new FlexRound { Iterations = 20 }, 2e-2),
        ["lqLora"] = (new LqLora { Bits = 4, Rank = 2, Iterations = 3 }, 1e-2),
        ["vq4Dit"] = (new Vq4Dit { Codewords = 64, Width = 2, Iterations = 10 }, 3e-2),
        ["nupes"] = (new Nupes { Iterations = 20 }, 2e-2),
    };

    public static TheoryData<string> ModelNames => [.. Models.Keys];

    private static StoryModel Model => StoryModel.Stories260K(StoryFiles.Folder);

    public static TheoryData<string> Names => [.. Decompositions.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_decomposition_is_what_it_is_on_the_CPU(string name)
    {
        RequireGpu();
        using var scope = NewDisposeScope();
        var step = Decompositions[name];
        var problem = LayerProblems.Make(24, 18, LayerProblems.Inputs(18), bias: ones(24));
        var solver = SolverCatalog.For(step);
        solver.RunsOnDevice.ShouldBeTrue();
        var expected = solver.Solve(problem, step);
        var there = solver.Solve(problem.To(CUDA), step);
        there.Weight.Materialize().cpu().ShouldBeNear(expected.Weight.Materialize(), 1e-5);
        there.Facts["predictedLoss"].ShouldBeNear(expected.Facts["predictedLoss"], 1e-7);
        there.Spectrum.ToArray().ShouldBeNear(tensor(expected.Spectrum.ToArray()), 1e-9);
    }

    [Theory]
    [InlineData(SvdAccuracy.Fast)]
    [InlineData(SvdAccuracy.Tight)]
    public void Iterated_singular_vectors_are_certified(SvdAccuracy accuracy)
    {
        RequireGpu();
        using var scope = NewDisposeScope();
        var spectrum = linspace(1, 400, 400, dtype: float64).pow(-1);
        var matrix = linalg.qr(randn(600, 400, dtype: float64, generator: new Generator(1))).Q.mul(spectrum).mm(linalg.qr(randn(500, 400, dtype: float64, generator: new Generator(2))).Q.mT);
        var found = RandomisedSvd.Of(matrix.to(CUDA), 16, accuracy, 0);
        var vectors = found.Vectors.cpu();
        double loss = (matrix - vectors.mm(vectors.mT.mm(matrix))).square().sum().item<double>();
        double optimum = spectrum.narrow(0, 16, 384).square().sum().item<double>();
        found.CertifiedExcess!.Value.ShouldBeLessThanOrEqualTo(RandomisedSvd.Tolerance(accuracy));
        (loss / optimum - 1).ShouldBeLessThanOrEqualTo(found.CertifiedExcess.Value);
    }

    [Theory]
    [MemberData(nameof(ModelNames))]
    public void A_model_is_compressed_as_on_the_CPU(string name)
    {
        RequireGpu();
        var (step, tolerance) = Models[name];
        var (here, there) = (Model.Compress(step, 8), Model.Compress(step, 8, device: "cuda"));
        there.Quality!.Before.ShouldBe(here.Quality!.Before, 1e-3);
        there.Quality.After.ShouldBeNear(here.Quality.After, tolerance);
        there.Device.ShouldBe("cuda");
    }

    [Theory]
    [InlineData(4, 32, false)]
    [InlineData(4, 128, true)]
    [InlineData(3, 64, true)]
    [InlineData(8, 64, false)]
    [InlineData(4, 48, true)]
    public void A_packed_layer_moves_to_the_GPU(int bits, int group, bool symmetric)
    {
        RequireGpu();
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var grid = Weights.Forms.Quantized(512, 768, new Quantize { Bits = bits, GroupSize = group, Symmetric = symmetric });
        using var linear = nn.Linear(768, 512);
        LayerInstaller.Install(new("fc", linear), grid, null, onlyLookedUp: false, packed: true);
        var x = randn(5, 768, generator: new Generator(1));
        var expected = linear.call(x);
        linear.to(CUDA);
        linear.call(x.to(CUDA)).cpu().ShouldBeNear(expected, 1e-4);
        linear.to(bfloat16);
        linear.call(x.to(bfloat16).to(CUDA)).cpu().ShouldBeNear(expected, 0.03);
        linear.to(CPU);
        linear.to(float32);
        linear.call(x).ShouldBeNear(expected, 0.01);
    }

    [Fact]
    public void Low_rank_layers_convolutions_and_tables_move_to_the_GPU()
    {
        RequireGpu();
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var product = new Product(Weights.Forms.Dense(24, 3), Weights.Forms.Dense(3, 36));
        using var sum = new Sum(Weights.Forms.Dense(24, 36), new Product(Weights.Forms.Dense(24, 3), Weights.Forms.Dense(3, 36)));
        using var linear = nn.Linear(36, 24, hasBias: false);
        using var added = nn.Linear(36, 24);
        using var convolution = nn.Conv2d(4, 24, 3);
        using var table = nn.Embedding(24, 36);
        LayerInstaller.Install(new("fc", linear), product, ones(24), onlyLookedUp: false);
        LayerInstaller.Install(new("fc", added), sum, null, onlyLookedUp: false);
        LayerInstaller.Install(new("conv", convolution), product, null, onlyLookedUp: false);
        LayerInstaller.Install(new("table", table), product, null, onlyLookedUp: true);
        foreach (var (layer, x) in new (nn.Module<Tensor, Tensor>, Tensor)[] { (linear, randn(5, 36)), (added, randn(5, 36)), (convolution, randn(2, 4, 7, 7)), (table, arange(7)) })
        {
            var expected = layer.call(x);
            layer.to(CUDA);
            layer.call(x.to(CUDA)).cpu().ShouldBeNear(expected, 1e-3);
        }
    }

    private static void RequireGpu() => Assert.SkipUnless(cuda.is_available(), "there is no CUDA device");
}
