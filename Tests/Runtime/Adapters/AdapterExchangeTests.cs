using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Adapters;
using PipelineDsl.Runtime.Adapters.Exchange;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Peft;
using PipelineDsl.Runtime.Tests.Formats;
using PipelineDsl.Runtime.Tests.Formats.Peft;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Adapters;

/// <summary>What is trained here is what others read, and the other way round.</summary>
public sealed class AdapterExchangeTests : IDisposable
{
    private static readonly LayerOperation Convolution = new ConvolutionOperation([1, 1], [0, 0], [1, 1]);

    private readonly TemporaryFolder folder = new();

    public static TheoryData<string> Models => [.. Layers.Keys];

    private static Dictionary<string, (string Path, Adapt Step, long[] Shape, LayerOperation Operation)[]> Layers => new()
    {
        ["one kind"] = [("a.q", new Lora { Rank = 3, Alpha = 5 }, [9, 12], LayerOperation.Linear), ("b.q", new Lora { Rank = 3, Alpha = 5 }, [7, 12], LayerOperation.Linear)],
        ["ranks and scalings of their own"] = [("a.q", new Lora { Rank = 3, Alpha = 5 }, [9, 12], LayerOperation.Linear), ("b.q", new Lora { Rank = 2, Alpha = 5 }, [7, 12], LayerOperation.Linear), ("c.q", new Lora { Rank = 2, Alpha = 7 }, [7, 12], LayerOperation.Linear)],
        ["stabilised"] = [("a.q", new Lora { Rank = 3, Alpha = 5, RankStabilized = true }, [9, 12], LayerOperation.Linear), ("b.q", new Lora { Rank = 2, RankStabilized = true }, [7, 12], LayerOperation.Linear)],
        ["stabilised and not"] = [("a.q", new Lora { Rank = 3, Alpha = 5, RankStabilized = true }, [9, 12], LayerOperation.Linear), ("b.q", new Lora { Rank = 2 }, [7, 12], LayerOperation.Linear)],
        ["magnitudes"] = [("a.q", new Lora { Rank = 3, WeightDecomposed = true }, [9, 12], LayerOperation.Linear), ("c", new Lora { Rank = 3, WeightDecomposed = true }, [6, 4, 3, 2], Convolution), ("e", new Lora { Rank = 3, WeightDecomposed = true }, [20, 5], LayerOperation.Lookup)],
        ["magnitudes here and there"] = [("a.q", new Lora { Rank = 3, WeightDecomposed = true }, [9, 12], LayerOperation.Linear), ("b.q", new Lora { Rank = 3 }, [9, 12], LayerOperation.Linear), ("e", new Lora { Rank = 3 }, [20, 5], LayerOperation.Lookup), ("f", new Flora(), [9, 12], LayerOperation.Linear)],
        ["split weights"] = [("a.q", new Lora { Rank = 3, Start = LoraStart.Pissa }, [9, 12], LayerOperation.Linear), ("b.q", new Lora { Rank = 2, Start = LoraStart.Olora, RankStabilized = true }, [9, 12], LayerOperation.Linear)],
        ["split weights with magnitudes"] = [("a.q", new Lora { Rank = 3, Start = LoraStart.Pissa, WeightDecomposed = true }, [9, 12], LayerOperation.Linear)],
        ["kernels and tables"] = [("c", new Lora { Rank = 3 }, [6, 4, 3, 2], Convolution), ("d", new Flora(), [16, 12, 3, 3], Convolution), ("e", new Lora { Rank = 3 }, [20, 5], LayerOperation.Lookup)],
        ["shards"] = [("a.q", new Bone { Rank = 4 }, [9, 10], LayerOperation.Linear), ("b.q", new Bone { Rank = 4 }, [7, 12], LayerOperation.Linear)],
        ["shards with few numbers"] = [("a.q", new Bone { Rank = 4, MiniRank = 3 }, [9, 10], LayerOperation.Linear), ("b.q", new Bone { Rank = 4, MiniRank = 3 }, [6, 12], LayerOperation.Linear)],
        ["shards of several widths"] = [("a.q", new Bone { Rank = 4 }, [9, 10], LayerOperation.Linear), ("b.q", new Bone { Rank = 3 }, [7, 12], LayerOperation.Linear)],
        ["blocks"] = [("a.q", new Bat { Rank = 4 }, [8, 12], LayerOperation.Linear), ("b.q", new Bat { Rank = 4 }, [12, 16], LayerOperation.Linear)],
        ["a residual alone"] = [("a.q", new Tlora { Rank = 2, TransformRank = 0, Residual = TloraResidual.RingVector }, [8, 12], LayerOperation.Linear)],
    };

    [Theory]
    [MemberData(nameof(Models))]
    public void A_second_reader_merges_what_was_written_to_what_was_trained_and_we_read_it_back(string name)
    {
        using var scope = NewDisposeScope();
        var layers = Train(Layers[name]);
        var written = AdapterExport.Write(folder.Path, layers, new());
        written.Select(layer => layer.Path).ShouldBe(layers.Keys.Order(StringComparer.Ordinal));
        written.ShouldAllBe(layer => layer.IsExact && layer.RelativeError < 1e-6);
        var foreign = new ForeignPeft(folder.Path);
        using var read = PeftFolder.Read(folder.Path);
        foreach (var (path, layer) in layers)
        {
            var trained = layer.Adapter.Merge();
            foreign.Merge(path, layer.Before.to(float64)).ShouldBeNear(trained, 1e-6);
            using var again = AdapterImport.Attach(read, path, layer.Before, layer.Adapter.Operation);
            again.Merge().ShouldBeNear(trained, 1e-6);
        }

        read.Config.Type.ShouldBe(name is "shards" or "shards with few numbers" or "blocks" ? PeftType.Miss : PeftType.Lora);
        read.Config.UseRsLora.ShouldBe(name == "stabilised");
        read.Config.UseDora.ShouldBe(name.Contains("magnitudes", StringComparison.Ordinal));
        File.Exists(folder.File(BaseBinding.FileName)).ShouldBeFalse();
        Release(layers);
    }

    [Fact]
    public void What_has_no_low_rank_form_is_written_as_the_nearest_one_and_its_error_is_told()
    {
        using var scope = NewDisposeScope();
        (string, Adapt, long[], LayerOperation)[] steps =
        [
            ("bat", new Bat { Rank = 4 }, [8, 12], LayerOperation.Linear), ("soka", new Soka(), [8, 12], LayerOperation.Linear), ("tlora", new Tlora { Rank = 2 }, [8, 12], LayerOperation.Linear),
            ("full", new FineTune(), [8, 12], LayerOperation.Linear), ("table", new FineTune(), [20, 6], LayerOperation.Lookup), ("kernel", new FineTune(), [6, 4, 3, 2], Convolution),
        ];
        var layers = Train(steps);
        double[] errors = [.. AdapterExport.Write(folder.File("few"), layers, new() { FallbackRank = 2 }).Select(Checked)];
        errors.ShouldAllBe(error => error > 0.01 && error < 1);
        AdapterExport.Write(folder.File("all"), layers, new() { FallbackRank = 100 }).ShouldAllBe(layer => layer.RelativeError < 1e-6);
        Release(layers);

        double Checked(ExportedLayer layer)
        {
            layer.IsExact.ShouldBeFalse();
            layer.Rank.ShouldBe(2);
            var trained = layers[layer.Path];
            var merged = trained.Adapter.Merge().to(float64);
            var foreign = new ForeignPeft(folder.File("few")).Merge(layer.Path, trained.Before.to(float64));
            double error = Compare.Norm(foreign - merged) / Compare.Norm(merged - trained.Before);
            layer.RelativeError.ShouldBe(error, 1e-6);
            var change = trained.Adapter.Operation.Matrix(merged - trained.Before.to(float64));
            error.ShouldBe(linalg.svdvals(change.contiguous()).narrow(0, 2, Math.Min(change.shape[0], change.shape[1]) - 2).norm().item<double>() / Compare.Norm(change), 1e-5);
            return error;
        }
    }

    [Fact]
    public void What_a_solver_started_is_written_for_the_weight_before_training()
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(24, 32, LayerProblems.Inputs(32));
        foreach (var step in (Step[])[new Corda { Rank = 4, Use = CordaUse.Adapter, LoraAlpha = 6 }, new LqLora { Rank = 4, Bits = 4, Weighted = false }])
        {
            using var solved = SolverCatalog.For(step).Solve(problem, step).Weight;
            using var adapter = LoraMethod.Attach(solved)!.Moved();
            var before = solved.Materialize();
            AdapterExport.Write(folder.Path, new Dictionary<string, TrainedLayer> { ["fc"] = new(adapter, before) }, new()).ShouldHaveSingleItem().Rank.ShouldBe(8);
            new ForeignPeft(folder.Path).Merge("fc", before).ShouldBeNear(adapter.Merge(), 1e-5);
        }
    }

    [Fact]
    public void Names_that_would_hit_other_modules_become_an_expression()
    {
        using var scope = NewDisposeScope();
        var layers = Train([("fc", new Lora { Rank = 3 }, [9, 12], LayerOperation.Linear)]);
        AdapterExport.Write(folder.Path, layers, new() { Modules = ["fc", "block.other"] });
        using (var plain = PeftFolder.Read(folder.Path))
        {
            plain.Config.Targets.Names.ShouldBe(["fc"]);
        }

        AdapterExport.Write(folder.Path, layers, new() { Modules = ["fc", "block.fc"] });
        using var read = PeftFolder.Read(folder.Path);
        read.Config.Targets.Contains("fc").ShouldBeTrue();
        read.Config.Targets.Contains("block.fc").ShouldBeFalse();
        Release(layers);
    }

    [Fact]
    public void The_weights_it_was_trained_on_are_named_beside_it()
    {
        using var scope = NewDisposeScope();
        var layers = Train([("fc", new Lora { Rank = 3 }, [9, 12], LayerOperation.Linear)]);
        layers["fc"] = layers["fc"] with { BaseDigest = BaseBinding.DigestOf(layers["fc"].Before) };
        AdapterExport.Write(folder.Path, layers, new() { Model = "Stories.Model" });
        var binding = BaseBinding.Read(folder.Path).ShouldNotBeNull();
        binding.Model.ShouldBe("Stories.Model");
        binding.Digests["fc"].ShouldBe(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(layers["fc"].Before.bytes)));
        folder.Write(BaseBinding.FileName, """{ "schema": 2, "model": "M", "base": {} }""");
        Should.Throw<PipelineException>(() => BaseBinding.Read(folder.Path)).Diagnostic.Id.ShouldBe(DiagnosticIds.BrokenWeights);
        Release(layers);
    }

    [Fact]
    public void Numbers_that_are_none_are_not_written_and_weights_that_do_not_fit_are_refused()
    {
        using var scope = NewDisposeScope();
        var layers = Train([("fc", new FineTune(), [9, 12], LayerOperation.Linear)]);
        using (no_grad())
        {
            layers["fc"].Adapter.Parameters[0].Value.fill_(float.NaN);
        }

        var failure = Should.Throw<PipelineException>(() => AdapterExport.Write(folder.Path, layers, new()));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.NotExportable);
        failure.Message.ShouldContain("'fc'");
        Release(layers);

        var good = Train([("fc", new Lora { Rank = 3 }, [9, 12], LayerOperation.Linear)]);
        AdapterExport.Write(folder.Path, good, new());
        Release(good);
        using var read = PeftFolder.Read(folder.Path);
        Should.Throw<ArgumentException>(() => AdapterImport.Attach(read, "fc", zeros(9, 13), LayerOperation.Linear)).Message.ShouldContain("[9, 13] does not fit 'lora_A.weight' [3, 12]");
        Should.Throw<ArgumentException>(() => AdapterImport.Attach(read, "fc", zeros(12, 9), LayerOperation.Lookup));
    }

    public void Dispose() => folder.Dispose();

    private static Dictionary<string, TrainedLayer> Train((string Path, Adapt Step, long[] Shape, LayerOperation Operation)[] layers) => layers.Select((layer, place) =>
    {
        var before = AdapterChecks.Random(place + 20, layer.Shape).to(float32);
        return (layer.Path, new TrainedLayer(layer.Step.Attach(before, layer.Operation, place).Moved(0.2, place + 1), before));
    }).ToDictionary();

    private static void Release(Dictionary<string, TrainedLayer> layers)
    {
        foreach (var layer in layers.Values)
        {
            layer.Adapter.Dispose();
        }
    }
}
