using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Adapters;
using PipelineDsl.Runtime.Adapters.Exchange;
using PipelineDsl.Runtime.Formats.Peft;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Tests.Adapters;
using PipelineDsl.Runtime.Tests.Formats;
using PipelineDsl.Runtime.Tests.Formats.Peft;
using PipelineDsl.Runtime.Weights;
using TorchSharp;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Models;

/// <summary>What adapters of a running model promise.</summary>
public sealed class ModelAdaptersTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly Tiny model = new();
    private readonly Tensor ids = tensor([3L, 0, 19, 7, 7, 2]).reshape(2, 3);

    [Theory]
    [InlineData("lora")]
    [InlineData("dora")]
    [InlineData("bone")]
    [InlineData("bat")]
    [InlineData("pissa")]
    public void One_in_use_computes_what_the_merged_weights_do_and_none_is_the_model_bit_for_bit(string method)
    {
        using var scope = NewDisposeScope();
        Adapt linear = method switch { "dora" => new Lora { Rank = 3, WeightDecomposed = true }, "bone" => new Bone { Rank = 4 }, "bat" => new Bat { Rank = 4 }, "pissa" => new Lora { Rank = 3, Start = LoraStart.Pissa }, _ => new Lora { Rank = 3 } };
        Dictionary<string, Adapt> steps = method is "lora" or "dora"
            ? new() { ["embed"] = linear, ["conv"] = linear, ["up"] = linear, ["down"] = linear }
            : new() { ["up"] = linear, ["down"] = linear };
        string place = Write("a", steps, 1);
        var original = Run(model);
        var before = State();
        var adapters = ModelAdapters.Of(model);
        ReferenceEquals(ModelAdapters.Of(model), adapters).ShouldBeTrue();
        adapters.Add("a", place).ShouldBeEmpty();
        Compare.SameBits(Run(model), original).ShouldBeTrue();

        using var merged = new Tiny();
        foreach (string path in steps.Keys)
        {
            using var noGradients = no_grad();
            var weight = merged.LayerOf(path).Weight;
            weight.copy_(new ForeignPeft(place).Merge(path, weight.detach().to(float64)));
        }

        adapters.Use("a");
        adapters.Active.ShouldBe([("a", 1.0)]);
        var used = Run(model);
        used.ShouldBeNear(Run(merged), 1e-5);
        Compare.Norm(used - original).ShouldBeGreaterThan(1e-2 * Compare.Norm(original));
        adapters.Merge();
        adapters.IsMerged.ShouldBeTrue();
        Run(model).ShouldBeNear(used, 1e-5);
        model.up.weight!.detach().ShouldBeNear(merged.up.weight!.detach(), 1e-6);
        adapters.Unmerge();
        Compare.SameBits(Run(model), used).ShouldBeTrue();
        State().Zip(before).ShouldAllBe(pair => Compare.SameBits(pair.First, pair.Second));

        adapters.Merge();
        adapters.None();
        adapters.IsMerged.ShouldBeFalse();
        Compare.SameBits(Run(model), original).ShouldBeTrue();
        State().Zip(before).ShouldAllBe(pair => Compare.SameBits(pair.First, pair.Second));
        adapters.Use("a");
        adapters.Remove("a");
        adapters.Names.ShouldBeEmpty();
        adapters.Active.ShouldBeEmpty();
        Compare.SameBits(Run(model), original).ShouldBeTrue();
    }

    [Fact]
    public void Several_are_used_at_once_each_with_its_number()
    {
        using var scope = NewDisposeScope();
        string first = Write("first", new() { ["embed"] = new Lora { Rank = 3 }, ["up"] = new Lora { Rank = 3, Alpha = 5 }, ["conv"] = new Lora { Rank = 2 } }, 1);
        string second = Write("second", new() { ["up"] = new Bone { Rank = 4 }, ["down"] = new Bone { Rank = 4 } }, 2);
        var adapters = ModelAdapters.Of(model);
        adapters.Add("first", first);
        adapters.Add("second", second);
        adapters.Names.ShouldBe(["first", "second"]);
        adapters.Use(("first", 0.5), ("second", -2));

        using var merged = new Tiny();
        foreach (string path in (string[])["embed", "conv", "up", "down"])
        {
            using var noGradients = no_grad();
            var weight = merged.LayerOf(path).Weight;
            var before = weight.detach().to(float64);
            var sum = before.clone();
            foreach (var (place, factor) in (ReadOnlySpan<(string, double)>)[(first, 0.5), (second, -2)])
            {
                if (path != "down" || place == second)
                {
                    sum = path is "embed" or "conv" && place == second ? sum : sum + (new ForeignPeft(place).Merge(path, before) - before).mul(factor);
                }
            }

            weight.copy_(sum);
        }

        Run(model).ShouldBeNear(Run(merged), 1e-5);
        adapters.Merge();
        Run(model).ShouldBeNear(Run(merged), 1e-5);
        adapters.Use(("second", 0.25));
        var quarter = Run(model);
        adapters.Use("second");
        Compare.SameBits(Run(model), quarter).ShouldBeFalse();
        adapters.Use("first");
        var alone = Run(model);
        adapters.Use(("second", 1), ("first", 1));
        adapters.Use("first");
        Compare.SameBits(Run(model), alone).ShouldBeTrue();
    }

    [Fact]
    public void Modules_that_are_stored_whole_come_and_go_with_their_adapter()
    {
        using var scope = NewDisposeScope();
        using (var source = new PeftAdapter(
            new() { Type = PeftType.Lora, Rank = 2, Alpha = 2, Targets = PeftTargets.Named("up"), ModulesToSave = ["down"] },
            new Dictionary<string, PeftTensors> { ["up"] = new LoraTensors(AdapterChecks.Random(1, 2, 8), AdapterChecks.Random(2, 12, 2)) },
            new Dictionary<string, Tensor> { ["down.weight"] = ones(8, 12), ["down.bias"] = ones(8) }))
        {
            PeftFolder.Write(folder.File("whole"), source);
        }

        string other = Write("other", new() { ["up"] = new Lora { Rank = 3 } }, 1);
        var adapters = ModelAdapters.Of(model);
        var original = Run(model);
        adapters.Add("whole", folder.File("whole"));
        adapters.Add("other", other);
        adapters.Use("whole");
        model.down.weight!.detach().ShouldBeNear(ones(8, 12), 0);
        model.down.bias!.detach().ShouldBeNear(ones(8), 0);
        Refuse(() => adapters.Use(("whole", 1), ("other", 1))).ShouldContain("replaces modules whole");
        adapters.Use("other");
        model.down.bias!.detach().abs().max().item<float>().ShouldNotBe(1);
        adapters.None();
        Compare.SameBits(Run(model), original).ShouldBeTrue();
    }

    [Fact]
    public void An_adapter_stands_beside_few_bits_and_thin_factors_but_is_not_merged_there()
    {
        using var scope = NewDisposeScope();
        string place = Write("a", new() { ["up"] = new Lora { Rank = 3 }, ["down"] = new Lora { Rank = 3 }, ["embed"] = new Lora { Rank = 3 } }, 1, isBound: true);
        string decomposed = Write("d", new() { ["up"] = new Lora { Rank = 3, WeightDecomposed = true } }, 1);
        string kernel = Write("k", new() { ["conv"] = new Lora { Rank = 2 } }, 1);
        using var factors = new Product(new Dense(AdapterChecks.Random(1, 12, 2).to(float32)), new Dense(AdapterChecks.Random(2, 2, 8).to(float32)));
        using var packed = new QuantizedInputs(new(DynamicFormat.Int4, 4), new Dense(model.down.weight!.detach().clone()));
        using var table = new Product(new Dense(AdapterChecks.Random(3, 20, 2).to(float32)), new Dense(AdapterChecks.Random(4, 2, 8).to(float32)));
        using var lines = new Product(new Dense(AdapterChecks.Random(5, 8, 2).to(float32)), new Dense(AdapterChecks.Random(6, 2, 24).to(float32)));
        LayerInstaller.Install(model.LayerOf("up"), factors, null, onlyLookedUp: false);
        LayerInstaller.Install(model.LayerOf("down"), packed, null, onlyLookedUp: false);
        LayerInstaller.Install(model.LayerOf("embed"), table, null, onlyLookedUp: true);
        LayerInstaller.Install(model.LayerOf("conv"), lines, null, onlyLookedUp: false);
        var adapters = ModelAdapters.Of(model);
        var original = Run(model);
        Refuse(() => adapters.Add("a", place)).ShouldContain("other weights of 'Tests.Tiny' than these: 'down' and 2 more layers differ");
        adapters.Names.ShouldBeEmpty();
        adapters.Add("a", place, onOtherWeights: true);
        Refuse(() => adapters.Add("d", decomposed)).ShouldContain("changes the weight itself");
        Refuse(() => adapters.Add("k", kernel)).ShouldContain("two thin convolutions");

        var x = AdapterChecks.Random(8, 5, 8).to(float32);
        var plain = model.up.call(x).detach();
        adapters.Use("a");
        var change = new ForeignPeft(place).Merge("up", zeros(12, 8, dtype: float64)).to(float32);
        model.up.call(x).detach().ShouldBeNear(plain + nn.functional.linear(x, change), 1e-5);
        Compare.SameBits(Run(model), original).ShouldBeFalse();
        Refuse(adapters.Merge).ShouldContain("take no change in place");
        adapters.IsMerged.ShouldBeFalse();
        adapters.None();
        Compare.SameBits(Run(model), original).ShouldBeTrue();
    }

    [Fact]
    public void Beside_codes_that_stay_packed_the_layer_s_own_inputs_reach_the_adapter()
    {
        using var scope = NewDisposeScope();
        const int Side = 512;
        using var one = new One(Side);
        using var grid = AdapterStepsTests.Quantized(Side, Side);
        using var source = new PeftAdapter(
            new() { Type = PeftType.Lora, Rank = 2, Alpha = 2, Targets = PeftTargets.Named("fc") },
            new Dictionary<string, PeftTensors> { ["fc"] = new LoraTensors(AdapterChecks.Random(1, 2, Side).to(float32), AdapterChecks.Random(2, Side, 2).to(float32)) },
            new Dictionary<string, Tensor>());
        PeftFolder.Write(folder.File("one"), source);
        var x = AdapterChecks.Random(3, 5, Side).to(float32);
        LayerInstaller.Install(ModelLayer.Find(one).Single(layer => layer.Path == "fc"), grid, null, onlyLookedUp: false, packed: true);
        using var noGradients = no_grad();
        var plain = one.call(x);
        var adapters = ModelAdapters.Of(one);
        adapters.Add("a", folder.File("one"));
        adapters.Use("a");
        var change = nn.functional.linear(x, new ForeignPeft(folder.File("one")).Merge("fc", zeros(Side, Side, dtype: float64)).to(float32));
        one.call(x).ShouldBeNear(plain + change, 1e-5);
        adapters.None();
        Compare.SameBits(one.call(x), plain).ShouldBeTrue();
    }

    [Fact]
    public void Names_numbers_and_mixtures_that_make_no_sense_are_refused()
    {
        string plain = Write("plain", new() { ["up"] = new Lora { Rank = 3 } }, 1);
        string decomposed = Write("decomposed", new() { ["up"] = new Lora { Rank = 3, WeightDecomposed = true } }, 1);
        var adapters = ModelAdapters.Of(model);
        Refuse(() => adapters.Use("plain")).ShouldContain("add one first");
        adapters.Add("plain", plain);
        adapters.Add("decomposed", decomposed);
        Refuse(() => adapters.Use("plane")).ShouldContain("did you mean 'plain'?");
        Refuse(() => adapters.Remove("other")).ShouldContain("added are decomposed, plain");
        Refuse(() => adapters.Add("plain", plain)).ShouldContain("'plain' already");
        Refuse(() => adapters.Use(("plain", double.NaN))).ShouldContain("finite");
        Refuse(() => adapters.Use(("plain", 1), ("plain", 1))).ShouldContain("twice");
        Refuse(() => adapters.Use(("decomposed", 0.5))).ShouldContain("multiplies the weight");
        adapters.Active.ShouldBeEmpty();
        adapters.Use("decomposed");
        adapters.Active.Count.ShouldBe(1);
    }

    [Fact]
    public void An_adapter_for_another_model_or_other_weights_is_refused_and_leaves_no_trace()
    {
        using var scope = NewDisposeScope();
        var adapters = ModelAdapters.Of(model);
        string bound = Write("bound", new() { ["up"] = new Lora { Rank = 3 } }, 1, isBound: true);
        adapters.Add("bound", bound);
        Directory.CreateDirectory(folder.File("artifact"));
        Directory.Move(Write("inside", new() { ["up"] = new Lora { Rank = 3 } }, 1, isBound: true), Path.Combine(folder.File("artifact"), "adapter"));
        adapters.Add("artifact", folder.File("artifact"));

        using (no_grad())
        {
            model.up.weight![0, 0] = 5;
        }

        var original = Run(model);

        Refuse(() => adapters.Add("again", bound)).ShouldContain("'up' differs");
        adapters.Add("meant", bound, onOtherWeights: true);

        Unfit("absent", new() { ["upp"] = new LoraTensors(zeros(2, 8), zeros(12, 2)) }).ShouldContain("no layer 'upp' with a weight; did you mean 'up'?");
        Unfit("shape", new() { ["up"] = new LoraTensors(zeros(2, 9), zeros(12, 2)) }).ShouldContain("at 'up', a weight of [12, 8] does not fit");
        Unfit("kind", new() { ["embed"] = new LoraTensors(zeros(2, 8), zeros(20, 2)) }).ShouldContain("at 'embed'");
        Should.Throw<PipelineException>(() => adapters.Add("nowhere", folder.File("nowhere"))).Diagnostic.Id.ShouldBe(DiagnosticIds.MissingFile);
        adapters.Names.ShouldBe(["artifact", "bound", "meant"]);
        Compare.SameBits(Run(model), original).ShouldBeTrue();

        string Unfit(string name, Dictionary<string, PeftTensors> modules)
        {
            using var source = new PeftAdapter(new() { Type = PeftType.Lora, Rank = 2, Targets = PeftTargets.Named([.. modules.Keys]) }, modules, new Dictionary<string, Tensor>());
            PeftFolder.Write(folder.File(name), source);
            var failure = Should.Throw<PipelineException>(() => adapters.Add(name, folder.File(name)));
            failure.Diagnostic.Id.ShouldBe(DiagnosticIds.WeightsDoNotFitModel);
            return failure.Message;
        }
    }

    public void Dispose()
    {
        model.Dispose();
        ids.Dispose();
        folder.Dispose();
    }

    private static string Refuse(Action action)
    {
        var failure = Should.Throw<PipelineException>(action);
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.AdapterRefused);
        return failure.Message;
    }

    private Tensor Run(Tiny tiny)
    {
        using var noGradients = no_grad();
        return tiny.call(ids);
    }

    private Tensor[] State() => [.. model.state_dict().Values.Select(value => value.detach().clone())];

    /// <summary>Adapters of the model's layers, somewhere else than at their start.</summary>
    private string Write(string name, Dictionary<string, Adapt> steps, int seed, bool isBound = false)
    {
        using var scope = NewDisposeScope();
        var layers = steps.ToDictionary(step => step.Key, step =>
        {
            var layer = model.LayerOf(step.Key);
            var weight = layer.Weight.detach();
            return new TrainedLayer(step.Value.Attach(weight, LayerOperations.Of(layer.Module), seed).Moved(0.2, seed), weight, AdapterSlot.DigestOf(layer.Module));
        });
        AdapterExport.Write(folder.File(name), layers, new() { Model = isBound ? "Tests.Tiny" : null });
        foreach (var layer in layers.Values)
        {
            layer.Adapter.Dispose();
        }

        return folder.File(name);
    }

    private sealed class One : nn.Module<Tensor, Tensor>
    {
        private readonly Linear fc;

        public One(int side)
            : base("One")
        {
            fc = nn.Linear(side, side);
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => fc.call(input);
    }

    /// <summary>A table, a convolution and two linear layers.</summary>
    private sealed class Tiny : nn.Module<Tensor, Tensor>
    {
        public readonly Embedding embed = nn.Embedding(20, 8);
        public readonly Conv2d conv = nn.Conv2d(8, 8, (3L, 1L), (1L, 1L), (1L, 0L));
        public readonly Linear up = nn.Linear(8, 12);
        public readonly Linear down = nn.Linear(12, 8);

        public Tiny()
            : base("Tiny")
        {
            RegisterComponents();
            using var scope = NewDisposeScope();
            using var noGradients = no_grad();
            int seed = 30;
            foreach (var (_, parameter) in named_parameters())
            {
                parameter.copy_(AdapterChecks.Random(seed++, parameter.shape).mul(0.5));
            }
        }

        public ModelLayer LayerOf(string path) => ModelLayer.Find(this).Single(layer => layer.Path == path);

        public override Tensor forward(Tensor input)
        {
            using var scope = NewDisposeScope();
            var x = embed.call(input);
            x = x + conv.call(x.mT.unsqueeze(-1)).squeeze(-1).mT;
            return down.call(up.call(x).relu()).MoveToOuterDisposeScope();
        }
    }
}
