using System.Text.Json.Nodes;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats.Peft;
using PipelineDsl.Runtime.Formats.Safetensors;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Formats.Peft;

public sealed class PeftFolderTests : IDisposable
{
    private const string Prefix = "base_model.model.";

    private readonly TemporaryFolder folder = new();

    [Fact]
    public void What_was_written_comes_back_as_it_was_and_is_written_to_the_same_bytes()
    {
        using var scope = NewDisposeScope();
        var config = Config() with
        {
            Rank = 3,
            Alpha = 0.1,
            UseRsLora = true,
            UseDora = true,
            FanInFanOut = true,
            RankPattern = [("^layers.1.q", 2), ("q", 4)],
            AlphaPattern = [("emb", 1.5)],
            ModulesToSave = ["head"],
            Initialization = "pissa_niter_4",
            Dropout = 0.25,
            TaskType = "CAUSAL_LM",
            BaseModel = "modèle",
        };
        using var adapter = new PeftAdapter(
            config,
            new Dictionary<string, PeftTensors>
            {
                ["layers.1.q"] = new LoraTensors(rand(2, 5), rand(7, 2), rand(7)),
                ["layers.0.q"] = new LoraTensors(rand(4, 6, 3, 3, dtype: float16), rand(8, 2, 1, 1), rand(1, 8, 1, 1)),
                ["emb"] = new LoraTensors(rand(3, 9), rand(5, 3, dtype: bfloat16), rand(5), IsEmbedding: true),
            },
            new Dictionary<string, Tensor> { ["model.head.weight"] = rand(4, 2), ["model.head.steps"] = tensor(7L) });
        PeftFolder.Write(folder.File("1"), adapter);

        using var read = PeftFolder.Read(folder.File("1"));
        PeftFolder.Write(folder.File("2"), read);

        foreach (string file in new[] { PeftFolder.ConfigFile, PeftFolder.WeightsFile })
        {
            File.ReadAllBytes(Path.Combine(folder.File("2"), file)).ShouldBe(File.ReadAllBytes(Path.Combine(folder.File("1"), file)));
        }

        read.Warnings.ShouldBeEmpty();
        read.Config.RankPattern.ShouldBe(config.RankPattern);
        read.Config.AlphaPattern.ShouldBe(config.AlphaPattern);
        (read.Config with { RankPattern = config.RankPattern, AlphaPattern = config.AlphaPattern, Targets = config.Targets, ModulesToSave = config.ModulesToSave }).ShouldBe(config);
        foreach (var (module, tensors) in adapter.Modules)
        {
            var (was, now) = ((LoraTensors)tensors, (LoraTensors)read.Modules[module]);
            Compare.SameBits(now.A, was.A).ShouldBeTrue();
            Compare.SameBits(now.B, was.B).ShouldBeTrue();
            Compare.SameBits(now.Magnitude!, was.Magnitude!).ShouldBeTrue();
            now.IsEmbedding.ShouldBe(was.IsEmbedding);
        }

        Compare.SameBits(read.Saved["model.head.weight"], adapter.Saved["model.head.weight"]).ShouldBeTrue();
        read.Saved["model.head.steps"].item<long>().ShouldBe(7);
        File.ReadAllBytes(Path.Combine(folder.File("1"), PeftFolder.ConfigFile)).ShouldAllBe(letter => letter < 128);
    }

    [Fact]
    public void A_read_adapter_is_all_that_lives_after_reading()
    {
        WriteGood();
        TensorCount.GrowthOf(() => PeftFolder.Read(folder.Path).Dispose()).ShouldBe(0);
    }

    [Fact]
    public void Targets_are_whole_names_or_what_follows_a_dot_and_an_expression_is_for_the_whole_name()
    {
        var names = PeftTargets.Named("q_proj", "head");
        names.Contains("layers.0.q_proj").ShouldBeTrue();
        names.Contains("head").ShouldBeTrue();
        names.Contains("layers.0.xq_proj").ShouldBeFalse();
        names.Contains("q_proj.base").ShouldBeFalse();
        var expression = PeftTargets.Matching(@"layers\.[01]\.(q|v)_proj|emb");
        expression.Contains("layers.1.v_proj").ShouldBeTrue();
        expression.Contains("layers.1.v_proj.x").ShouldBeFalse();
        expression.Contains("model.emb").ShouldBeFalse();
    }

    [Theory]
    [InlineData("q_proj", "layers.0.q_proj", true)]
    [InlineData("q_proj", "q_proj", true)]
    [InlineData("q_proj", "xq_proj", false)]
    [InlineData("^layers.0.q_proj", "layers.0.q_proj", true)]
    [InlineData("^layers.0.q_proj", "model.layers.0.q_proj", false)]
    [InlineData("layers.0.q_proj", "layersX0Yq_proj", true)]
    [InlineData("q_proj|v_proj", "a.v_proj", true)]
    [InlineData("q_proj", "a.q_proj.b", false)]
    public void A_pattern_is_an_expression_for_what_follows_a_dot(string pattern, string module, bool hits) =>
        (Config() with { RankPattern = [(pattern, 16)] }).RankOf(module).ShouldBe(hits ? 16 : 2);

    [Fact]
    public void The_first_pattern_that_hits_gives_rank_and_alpha_and_with_them_the_scaling()
    {
        var config = Config() with { Alpha = 8, RankPattern = [("0.q", 16), ("q", 4)], AlphaPattern = [("q", 32), ("0.q", 1)] };
        config.ScalingOf("0.q").ShouldBe(2);
        config.ScalingOf("1.q").ShouldBe(8);
        config.ScalingOf("v").ShouldBe(4);
        (config with { UseRsLora = true }).ScalingOf("0.q").ShouldBe(8);
    }

    [Fact]
    public void A_magnitude_vector_is_read_in_both_spellings()
    {
        using var scope = NewDisposeScope();
        WriteGood(json => json["use_dora"] = true, tensors => tensors[Prefix + "q.lora_magnitude_vector.weight"] = rand(4));
        using var adapter = PeftFolder.Read(folder.Path);
        ((LoraTensors)adapter.Modules["q"]).Magnitude!.shape.ShouldBe([4]);
    }

    [Fact]
    public void A_key_that_no_adapter_of_the_type_has_is_ignored_with_a_warning()
    {
        WriteGood(json => json["colour"] = "red");
        using var adapter = PeftFolder.Read(folder.Path);
        adapter.Warnings.Single().Message.ShouldContain("'colour' is unknown");
    }

    [Theory]
    [InlineData("peft_type", "\"IA3\"", "'peft_type' is 'IA3'")]
    [InlineData("peft_type", null, "'peft_type' is not there")]
    [InlineData("bias", "\"all\"", "'bias' is 'all'")]
    [InlineData("bias", "\"lora_only\"", "'bias' is 'lora_only'")]
    [InlineData("r", "0", "'r' is 0")]
    [InlineData("r", "2.5", "'r' is 2.5, which is of the wrong kind")]
    [InlineData("r", "3", "factor A of module 'q' is [2, 3] where rank 3 first is expected")]
    [InlineData("lora_alpha", "1e999", "'lora_alpha' is")]
    [InlineData("lora_dropout", "1", "must be in [0, 1)")]
    [InlineData("task_type", "\"CHAT\"", "'task_type' is 'CHAT'")]
    [InlineData("init_lora_weights", "\"magic\"", "the initialisation is 'magic'")]
    [InlineData("init_lora_weights", "\"true\"", "of the wrong kind")]
    [InlineData("target_modules", null, "'target_modules' is not there")]
    [InlineData("target_modules", "[]", "names no module")]
    [InlineData("target_modules", "\"all-linear\"", "shorthand")]
    [InlineData("target_modules", "[\"q\", \"v\"]", "'v' matches no module")]
    [InlineData("target_modules", "[\"v\"]", "module 'q' has tensors but is no target")]
    [InlineData("target_modules", "\"(q\"", "Not enough )'s")]
    [InlineData("rank_pattern", "{\"v\": 4}", "'v' matches no module")]
    [InlineData("rank_pattern", "{\"q\": 0}", "must be positive")]
    [InlineData("alpha_pattern", "{\"q\": \"8\"}", "'alpha_pattern' is {\"q\":\"8\"}")]
    [InlineData("modules_to_save", "[\"head\"]", "module 'head' of 'modules_to_save' has no tensors")]
    [InlineData("use_dora", "true", "has no magnitude vector")]
    [InlineData("lora_bias", "true", "'lora_bias' is true, which is not supported")]
    [InlineData("layers_to_transform", "[1]", "'layers_to_transform' is [1], which is not supported")]
    public void A_configuration_that_cannot_be_right_is_refused(string key, string? value, string reason)
    {
        WriteGood(json => json[key] = value is null ? null : JsonNode.Parse(value));
        Refusal().ShouldContain(reason);
    }

    [Theory]
    [InlineData(Prefix + "q.lora_B.weight", null, "module 'q' has no tensor 'lora_B.weight'")]
    [InlineData(Prefix + "q.lora_A.weight", null, "module 'q' has no tensor 'lora_A.weight'")]
    [InlineData(Prefix + "q.lora_A.default.weight", "2,3", "has the adapter's name 'default' in its key")]
    [InlineData(Prefix + "q.lora_embedding_A.mine", "2,3", "has the adapter's name 'mine' in its key")]
    [InlineData("q.lora_A.weight", "2,3", "lacks the prefix 'base_model.model.'")]
    [InlineData(Prefix + "q.base_layer.weight", "4,3", "belongs neither to an adapter of this type nor")]
    [InlineData(Prefix + "q.miss_block", "2,4", "belongs neither to an adapter of this type nor")]
    [InlineData(Prefix + "q.lora_B.bias", "4", "belongs neither to an adapter of this type nor")]
    [InlineData(Prefix + "q.lora_embedding_A", "2,3", "has no tensor 'lora_embedding_B'")]
    [InlineData(Prefix + "q.lora_A.weight", "3,3", "is [3, 3] where rank 2 first is expected")]
    [InlineData(Prefix + "q.lora_A.weight", "2", "is [2] where rank 2 first is expected")]
    [InlineData(Prefix + "q.lora_B.weight", "4,3", "factor B of module 'q' is [4, 3]")]
    [InlineData(Prefix + "q.lora_B.weight", "4,2,1,1", "with as many axes as factor A")]
    [InlineData(Prefix + "q.lora_magnitude_vector", "4", "has a magnitude vector but 'use_dora' is false")]
    public void Tensors_that_do_not_belong_are_refused(string key, string? shape, string reason)
    {
        using var scope = NewDisposeScope();
        WriteGood(tensors: tensors => Set(tensors, key, shape is null ? null : ones([.. shape.Split(',').Select(long.Parse)])));
        Refusal().ShouldContain(reason);
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void Values_that_are_not_finite_are_neither_read_nor_written(double value)
    {
        using var scope = NewDisposeScope();
        WriteGood(tensors: tensors => tensors[Prefix + "q.lora_B.weight"] = full([4, 2], value));
        Refusal().ShouldContain("tensor 'q.lora_B.weight' holds values that are not finite");
        using var adapter = new PeftAdapter(Config(), new Dictionary<string, PeftTensors> { ["q"] = new LoraTensors(ones(2, 3), full([4, 2], value)) }, new Dictionary<string, Tensor>());
        var failure = Should.Throw<PipelineException>(() => PeftFolder.Write(folder.File("new"), adapter));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.NotExportable);
        Directory.Exists(folder.File("new")).ShouldBeFalse();
    }

    [Fact]
    public void Integers_are_no_factors()
    {
        using var scope = NewDisposeScope();
        WriteGood(tensors: tensors => tensors[Prefix + "q.lora_B.weight"] = ones(4, 2, dtype: int32));
        Refusal().ShouldContain("must be floating point");
    }

    [Theory]
    [InlineData("true", "3,4", "the block of module 'q' is [3, 4] where [2, out] is expected")]
    [InlineData("\"bat\"", "2,4", "where [out / 2, 2, 2] is expected")]
    [InlineData("\"mini\"", "2,4", "where [2, 1] is expected")]
    [InlineData("\"gaussian\"", "2,4", "the initialisation is 'gaussian'")]
    [InlineData("null", "2,4", "'init_weights' is not there")]
    public void A_block_of_another_shape_or_unknown_reading_is_refused(string initialization, string shape, string reason)
    {
        using var scope = NewDisposeScope();
        File.WriteAllText(folder.File(PeftFolder.ConfigFile), $$"""{"peft_type": "MISS", "r": 2, "target_modules": ["q"], "init_weights": {{initialization}}}""");
        SafetensorsWriter.Write(folder.File(PeftFolder.WeightsFile), [KeyValuePair.Create(Prefix + "q.miss_block", ones([.. shape.Split(',').Select(long.Parse)]))]);
        Refusal().ShouldContain(reason);
    }

    [Fact]
    public void Files_that_are_not_what_they_say_are_refused()
    {
        WriteGood();
        folder.Write(PeftFolder.WeightsFile, "version https://git-lfs.github.com/spec/v1\n");
        Refusal().ShouldContain("Git LFS pointer");
        File.Delete(folder.File(PeftFolder.WeightsFile));
        Should.Throw<PipelineException>(() => PeftFolder.Read(folder.Path)).Diagnostic.Id.ShouldBe(DiagnosticIds.MissingFile);
        folder.Write("adapter_model.bin", "PK");
        Refusal().ShouldContain("a pickle");
        folder.Write(PeftFolder.ConfigFile, "<html>");
        Refusal().ShouldContain("is not an adapter configuration");
        folder.Write(PeftFolder.ConfigFile, "[]");
        Refusal().ShouldContain("is not an adapter configuration");
        folder.Write(PeftFolder.ConfigFile, """{"r": 1, "r": 2}""");
        Refusal().ShouldContain("is not an adapter configuration");
        File.Delete(folder.File(PeftFolder.ConfigFile));
        Should.Throw<PipelineException>(() => PeftFolder.Read(folder.Path)).Diagnostic.Id.ShouldBe(DiagnosticIds.MissingFile);
    }

    [Theory]
    [InlineData("q.weight", "4,3", null)]
    [InlineData("x.weight", "4,3", "has no 'q.weight'")]
    [InlineData("q.weight", "3,4", "'q.weight' is [3, 4] in the model")]
    [InlineData("q.weight+a.q.weight", "4,3", "no tensors for 'a.q'")]
    public void An_adapter_for_another_model_is_refused(string names, string shape, string? reason)
    {
        WriteGood();
        using var adapter = PeftFolder.Read(folder.Path);
        var shapes = names.Split('+').ToDictionary(name => name, _ => (IReadOnlyList<long>)[.. shape.Split(',').Select(long.Parse)]);
        if (reason is null)
        {
            adapter.CheckBase("base", shapes);
            return;
        }

        var failure = Should.Throw<PipelineException>(() => adapter.CheckBase("base", shapes));
        failure.Message.ShouldContain(reason);
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.WeightsDoNotFitModel);
    }

    [Fact]
    public void Twice_the_rank_carries_patterns_magnitudes_and_saved_modules_over()
    {
        using var scope = NewDisposeScope();
        var config = Config() with { UseDora = true, ModulesToSave = ["head"], RankPattern = [("q", 3)], AlphaPattern = [("q", 5)], Initialization = "pissa" };
        PeftAdapter Adapter() => new(
            config,
            new Dictionary<string, PeftTensors> { ["q"] = new LoraTensors(rand(3, 5, dtype: float64), rand(4, 3, dtype: float64), rand(4, dtype: float64)) },
            new Dictionary<string, Tensor> { ["head.weight"] = rand(2, 2) });
        using var trained = Adapter();
        using var initial = Adapter();
        var (after, before) = ((LoraTensors)trained.Modules["q"], (LoraTensors)initial.Modules["q"]);
        var weight = rand(4, 5, dtype: float64);
        var residual = weight - (config.ScalingOf("q") * before.B.mm(before.A));

        using var plain = PeftConversion.ToPlainLora(trained, initial);

        plain.Config.RankPattern.ShouldBe([("q", 6)]);
        plain.Config.AlphaPattern.ShouldBe([("q", 10.0)]);
        Compare.SameBits(plain.Saved["head.weight"], trained.Saved["head.weight"]).ShouldBeTrue();
        PeftFolder.Write(folder.File("trained"), trained);
        PeftFolder.Write(folder.File("plain"), plain);
        new ForeignPeft(folder.File("plain")).Merge("q", weight).ShouldBeNear(new ForeignPeft(folder.File("trained")).Merge("q", residual), 1e-12);
        after.Magnitude!.shape.ShouldBe([4]);
    }

    [Fact]
    public void Twice_the_rank_of_a_grouped_convolution_keeps_every_group_s_channels_together()
    {
        using var scope = NewDisposeScope();
        PeftAdapter Adapter() => new(Config() with { Rank = 4 }, new Dictionary<string, PeftTensors> { ["q"] = new LoraTensors(rand(4, 6, 3, 3, dtype: float64), rand(8, 2, 1, 1, dtype: float64)) }, new Dictionary<string, Tensor>());
        using var trained = Adapter();
        using var initial = Adapter();
        using var plain = PeftConversion.ToPlainLora(trained, initial);
        var x = rand(1, 6, 5, 5, dtype: float64);
        Tensor Run(PeftAdapter adapter) => adapter.Modules["q"] is LoraTensors lora ? nn.functional.conv2d(nn.functional.conv2d(x, lora.A), lora.B, groups: 2) : throw new InvalidOperationException();
        Run(plain).ShouldBeNear(Run(trained) - Run(initial), 1e-12);
    }

    [Fact]
    public void Rewritings_that_would_not_be_exact_are_refused()
    {
        using var scope = NewDisposeScope();
        var rslora = Config() with { UseRsLora = true, RankPattern = [("q", 2)] };
        Conversion(rslora, Config()).ShouldContain("rsLoRA");
        Conversion(Config() with { UseRsLora = true, RankPattern = [], AlphaPattern = [("q", 1)] }, Config()).ShouldContain("rsLoRA");
        Conversion(Config(), Config() with { Alpha = 9 }).ShouldContain("differs in scaling");
        var bat = new PeftConfig { Type = PeftType.Miss, Rank = 2, Initialization = PeftConfig.BatInitialization, Targets = PeftTargets.Named("q") };
        using var block = new PeftAdapter(bat, new Dictionary<string, PeftTensors> { ["q"] = new MissTensors(zeros(2, 2, 2)) }, new Dictionary<string, Tensor>());
        Should.Throw<ArgumentException>(() => PeftConversion.ToPlainLora(block, new Dictionary<string, IReadOnlyList<long>> { ["q.weight"] = [4, 4] })).Message.ShouldContain("full rank");
        Should.Throw<ArgumentException>(() => PeftConversion.ToPlainLora(block, block)).Message.ShouldContain("only LoRA");

        static string Conversion(PeftConfig trained, PeftConfig initial) => Should.Throw<ArgumentException>(() => PeftConversion.ToPlainLora(Good(trained), Good(initial))).Message;
    }

    public void Dispose() => folder.Dispose();

    private static PeftConfig Config() => new() { Type = PeftType.Lora, Rank = 2, Targets = PeftTargets.Matching("q|emb|layers.*") };

    private static PeftAdapter Good(PeftConfig config) =>
        new(config, new Dictionary<string, PeftTensors> { ["q"] = new LoraTensors(ones(2, 3), ones(4, 2)) }, new Dictionary<string, Tensor>());

    private static void Set(Dictionary<string, Tensor> tensors, string key, Tensor? value)
    {
        tensors.Remove(key);
        if (value is not null)
        {
            tensors[key] = value;
        }
    }

    /// <summary>A LoRA of one linear module q [4, 3], changed by the test.</summary>
    private void WriteGood(Action<JsonObject>? config = null, Action<Dictionary<string, Tensor>>? tensors = null)
    {
        using var scope = NewDisposeScope();
        var json = new JsonObject { ["peft_type"] = "LORA", ["r"] = 2, ["lora_alpha"] = 4, ["target_modules"] = new JsonArray("q") };
        config?.Invoke(json);
        folder.Write(PeftFolder.ConfigFile, json.ToJsonString());
        var content = new Dictionary<string, Tensor> { [Prefix + "q.lora_A.weight"] = ones(2, 3), [Prefix + "q.lora_B.weight"] = ones(4, 2) };
        tensors?.Invoke(content);
        SafetensorsWriter.Write(folder.File(PeftFolder.WeightsFile), content);
    }

    private string Refusal()
    {
        var failure = Should.Throw<PipelineException>(() => PeftFolder.Read(folder.Path));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.BrokenWeights);
        return failure.Message;
    }
}
