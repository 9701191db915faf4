using System.Text.Json.Nodes;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Export;
using PipelineDsl.Runtime.Formats.Gguf;
using PipelineDsl.Runtime.Tests.Golden;
using PipelineDsl.Runtime.Tests.Stories;
using PipelineDsl.Runtime.Weights;

using static PipelineDsl.Runtime.Tests.Export.ExportProject;
using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Export;

public sealed class ExportTests : IDisposable
{
    private const string Block = "model.layers.0.";
    private const string Query = Block + "self_attn.q_proj";
    private const string Key = Block + "self_attn.k_proj";
    private const string Value = Block + "self_attn.v_proj";
    private const string Output = Block + "self_attn.o_proj";
    private const string Gate = Block + "mlp.gate_proj";
    private const string Up = Block + "mlp.up_proj";
    private const string Down = Block + "mlp.down_proj";
    private const string Table = "model.embed_tokens";

    private readonly ExportProject project = new();

    public void Dispose() => project.Dispose();

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(8)]
    public void A_gptq_export_stands_for_the_artifacts_weights(int bits)
    {
        var (records, weights) = project.Export(
            ExportFormats.Gptq,
            (Query, Rounded(64, 64, bits)),
            (Key, Rounded(32, 64, bits, symmetric: false)),
            (Value, Reordered(Rounded(32, 64, bits))),
            (Up, LowRank(172, 64)),
            (Gate, Rounded(172, 64, bits)),
            (Down, Rounded(64, 172, bits)),
            (Table, Rounded(512, 64, bits)),
            (Output, Rounded(64, 64, 6)));

        var record = records.ShouldHaveSingleItem();
        record.Quantized.ShouldBe([Key, Query, Value]);
        record.Floats.ToDictionary(layer => layer.Layer, layer => layer.Reason).ShouldBe(
            new Dictionary<string, string>
            {
                [Table] = "the format quantises linear layers alone",
                [Down] = "64 × 172 are no multiples of 32",
                [Gate] = "172 × 64 are no multiples of 32",
                [Up] = "a weight of the form 'product' has no place in the format",
                [Output] = "the format has no 6 bits",
            },
            ignoreOrder: true);
        var checkpoint = Checkpoint("gptq");
        record.Quantized.ShouldAllBe(path => SameValues(checkpoint.Gptq(path), weights[path]));
        record.Quantized.ShouldAllBe(path => !checkpoint.Has(path + ".weight"));
        record.Floats.ShouldAllBe(layer => SameValues(checkpoint[layer.Layer + ".weight"], weights[layer.Layer]));
        (checkpoint.Quantization["quant_method"]!.ToString(), (int)checkpoint.Quantization["bits"]!, (int)checkpoint.Quantization["group_size"]!).ShouldBe(("gptq", bits, 32));
        ((bool)checkpoint.Quantization["desc_act"]!, (bool)checkpoint.Quantization["sym"]!).ShouldBe((true, false));
        checkpoint.Quantization["dynamic"]!.AsObject().Select(entry => entry.Key).ShouldContain(@"-:^model\.layers\.0\.mlp\.up_proj$");
    }

    [Fact]
    public void A_gptq_export_of_symmetric_layers_is_of_version_1()
    {
        project.Export(ExportFormats.Gptq, (Query, Rounded(64, 64, 4, granularity: Granularity.Channel)));
        var checkpoint = Checkpoint("gptq");
        ((string)checkpoint.Quantization["checkpoint_format"]!, (int)checkpoint.Quantization["group_size"]!, (bool)checkpoint.Quantization["sym"]!).ShouldBe(("gptq", -1, true));
        checkpoint[Query + ".qzeros"].data<int>().ShouldAllBe(word => word == 0x77777777);
        project.Diagnostics.ShouldBeEmpty();
    }

    [Fact]
    public void A_gptq_export_with_a_zero_point_of_zero_is_of_version_2()
    {
        var positive = Rounded(rand(64, 64) + 1, new(64, 64, 4, false, Granularity.Group, 32));
        var (_, weights) = project.Export(ExportFormats.Gptq, (Query, positive));
        ((string)Checkpoint("gptq").Quantization["checkpoint_format"]!).ShouldBe("gptq_v2");
        SameValues(Checkpoint("gptq").Gptq(Query), weights[Query]).ShouldBeTrue();
    }

    [Fact]
    public void A_gptq_export_has_the_grid_of_most_weights()
    {
        var (records, weights) = project.Export(ExportFormats.Gptq, (Query, Rounded(64, 64, 8)), (Key, Rounded(32, 64, 4)), (Value, Rounded(32, 64, 8)));
        records[0].Quantized.ShouldBe([Query, Value]);
        records[0].Floats.ShouldBe([new(Key, "the format has one grid for all layers, which is here 8 bits in groups of 32, and no 4 bits in groups of 32")]);
        SameValues(Checkpoint("gptq")[Key + ".weight"], weights[Key]).ShouldBeTrue();
    }

    [Fact]
    public void A_compressed_tensors_export_stands_for_the_artifacts_weights()
    {
        var (records, weights) = project.Export(
            ExportFormats.CompressedTensors,
            (Query, Rounded(64, 64, 4)),
            (Key, Rounded(32, 64, 4, symmetric: false)),
            (Value, Reordered(Rounded(32, 64, 8))),
            (Gate, Rounded(172, 64, 2, granularity: Granularity.Channel)),
            (Up, Rounded(172, 64, 8, granularity: Granularity.Tensor)),
            (Down, Rounded(64, 172, 4)),
            (Output, Rounded(64, 64, 3)));

        records[0].Quantized.ShouldBe([Gate, Up, Key, Query, Value]);
        records[0].Floats.ShouldBe([new(Down, "rows of 172 are no whole groups of 32"), new(Output, "releases of compressed-tensors disagree on the words of 3 bits")]);
        var checkpoint = Checkpoint("compressedTensors");
        records[0].Quantized.ShouldAllBe(path => SameValues(checkpoint.CompressedTensors(path), weights[path]));
        records[0].Quantized.ShouldAllBe(path => !checkpoint.Has(path + ".weight"));
        var ignored = checkpoint.Quantization["ignore"]!.AsArray().Select(name => (string)name!).ToList();
        ignored.ShouldContain("lm_head");
        ignored.ShouldContain(Down);
        ignored.ShouldNotContain(Query);
    }

    [Fact]
    public void Compressed_tensors_of_one_kind_are_a_group_of_all_linear_layers()
    {
        project.Export(ExportFormats.CompressedTensors, (Query, Rounded(64, 64, 4)), (Key, Rounded(32, 64, 4)));
        Checkpoint("compressedTensors").Quantization["config_groups"]!.ToJsonString().ShouldBe(
            """{"group_0":{"targets":["Linear"],"input_activations":null,"output_activations":null,"weights":{"num_bits":4,"type":"int","symmetric":true,"strategy":"group","group_size":32,"actorder":null,"dynamic":false,"observer":"minmax"}}}""");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_bitsandbytes_export_stands_for_the_artifacts_weights(bool nested)
    {
        var (records, weights) = project.Export(
            ExportFormats.Bitsandbytes,
            (Query, NormalFloat(64, 64, nested)),
            (Down, NormalFloat(64, 172, nested)),
            (Key, Rounded(32, 64, 4)));

        records[0].Quantized.ShouldBe([Down, Query]);
        records[0].Floats.ShouldBe([new(Key, "the values are no 4-bit NormalFloat levels in blocks")]);
        var checkpoint = Checkpoint("bitsandbytes");
        records[0].Quantized.ShouldAllBe(path => SameValues(checkpoint.Bitsandbytes(path), weights[path]));
        checkpoint[Query + ".weight"].shape.ShouldBe([2048, 1]);
        ((bool)checkpoint.Quantization["bnb_4bit_use_double_quant"]!).ShouldBe(nested);
        checkpoint.Quantization["llm_int8_skip_modules"]!.AsArray().Select(name => (string)name!).ShouldContain(Key);
    }

    [Fact]
    public void A_checkpoint_without_codes_is_a_plain_one()
    {
        var (records, weights) = project.Export(ExportFormats.Gptq | ExportFormats.CompressedTensors | ExportFormats.Bitsandbytes, (Up, LowRank(172, 64)));
        foreach (var record in records)
        {
            record.Quantized.ShouldBeEmpty();
            Checkpoint(record.Format).Config.ContainsKey("quantization_config").ShouldBeFalse();
            SameValues(Checkpoint(record.Format)[Up + ".weight"], weights[Up]).ShouldBeTrue();
        }
    }

    [Fact]
    public void Levels_that_are_nearly_those_of_NormalFloat_are_no_NormalFloat()
    {
        var (records, _) = project.Export(ExportFormats.Bitsandbytes, (Query, NormalFloat(64, 64, nested: false, shift: 1e-3f)));
        records[0].Quantized.ShouldBeEmpty();
        project.Diagnostics.ShouldHaveSingleItem().Message.ShouldStartWith("export 'bitsandbytes' holds as plain floats, because the values are no 4-bit NormalFloat levels in blocks: " + Query);
    }

    [Fact]
    public void A_gguf_export_stands_for_the_artifacts_weights()
    {
        var (records, weights) = project.Export(
            ExportFormats.Gguf,
            (Query, Rounded(64, 64, 4)),
            (Key, Rounded(32, 64, 8)),
            (Value, Rounded(32, 64, 4, symmetric: false)),
            (Output, Rounded(64, 64, 4, granularity: Granularity.Channel)),
            (Gate, Rounded(172, 64, 8, symmetric: false)),
            (Up, Reordered(Rounded(172, 64, 4))),
            (Down, Rounded(64, 172, 4)),
            (Table, Rounded(512, 64, 8)));

        records[0].Quantized.ShouldBe([Table, Key, Output, Query, Value]);
        var file = new ForeignGguf(project.In("artifact/export/gguf/model.gguf"));
        string[] names = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];
        names.Select(name => file.TypeOf($"blk.0.{name}.weight")).ShouldBe([2u, 8u, 8u, 2u, 0u, 0u, 0u]);
        file.TypeOf("token_embd.weight").ShouldBe(8u);
        SameValues(ForeignGguf.Halves(file.Read("blk.0.attn_q.weight"), 8), weights[Query]).ShouldBeTrue();
        SameValues(ForeignGguf.Halves(file.Read("blk.0.attn_k.weight"), 4), weights[Key]).ShouldBeTrue();
        foreach (var (name, path) in names.Zip([Query, Key, Value, Output, Gate, Up, Down]).Skip(2).Append(("token_embd", Table)))
        {
            SameValues(file.Read($"{(path == Table ? "" : "blk.0.")}{name}.weight"), weights[path]).ShouldBeTrue(path);
        }
    }

    [Fact]
    public void What_a_gguf_export_keeps_is_the_original_under_llama_cpps_names()
    {
        project.Export(ExportFormats.Gguf, (Table, Rounded(512, 64, 8)));
        var file = new ForeignGguf(project.In("artifact/export/gguf/model.gguf"));
        var original = GoldenFile.Read(project.In("model.safetensors"));
        file.Names.Count().ShouldBe(original.Names.Count());
        SameValues(file.Read("output_norm.weight"), original["model.norm.weight"]).ShouldBeTrue();
        SameValues(file.Read("blk.4.ffn_norm.weight"), original["model.layers.4.post_attention_layernorm.weight"]).ShouldBeTrue();
        SameValues(file.Read("blk.3.ffn_down.weight"), original["model.layers.3.mlp.down_proj.weight"]).ShouldBeTrue();
        SameValues(ForeignGguf.Halves(file.Read("blk.2.attn_k.weight"), 4), original["model.layers.2.self_attn.k_proj.weight"]).ShouldBeTrue();
    }

    [Fact]
    public void A_gguf_export_describes_the_model_and_its_tokenizer()
    {
        project.Export(ExportFormats.Gguf, (Table, Rounded(512, 64, 8)));
        var values = new ForeignGguf(project.In("artifact/export/gguf/model.gguf")).Values;
        var expected = new Dictionary<string, object>
        {
            ["general.architecture"] = "llama",
            ["general.name"] = "tiny",
            ["general.file_type"] = 0u,
            ["general.quantization_version"] = 2u,
            ["llama.vocab_size"] = 512u,
            ["llama.context_length"] = 512u,
            ["llama.embedding_length"] = 64u,
            ["llama.block_count"] = 5u,
            ["llama.feed_forward_length"] = 172u,
            ["llama.attention.head_count"] = 8u,
            ["llama.attention.head_count_kv"] = 4u,
            ["llama.attention.layer_norm_rms_epsilon"] = 1e-5f,
            ["llama.rope.freq_base"] = 10_000f,
            ["llama.rope.dimension_count"] = 8u,
            ["tokenizer.ggml.model"] = "llama",
            ["tokenizer.ggml.bos_token_id"] = 1u,
            ["tokenizer.ggml.eos_token_id"] = 2u,
            ["tokenizer.ggml.unknown_token_id"] = 0u,
            ["tokenizer.ggml.add_bos_token"] = true,
            ["tokenizer.ggml.add_space_prefix"] = true,
        };
        values.Where(entry => entry.Value is not object[]).ShouldBe(expected, ignoreOrder: true);
        object[] tokens = (object[])values["tokenizer.ggml.tokens"], types = (object[])values["tokenizer.ggml.token_type"], scores = (object[])values["tokenizer.ggml.scores"];
        (tokens.Length, types.Length, scores.Length).ShouldBe((512, 512, 512));
        tokens[..4].ShouldBe(["<unk>", "<s>", "</s>", "<0x00>"]);
        types[..4].ShouldBe([2, 3, 3, 6]);
        (tokens[259], types[259], scores[259], scores[260]).ShouldBe(("▁t", 1, -1f, -2f));
    }

    [Theory]
    [InlineData("\"model_type\": \"llama\"", "\"model_type\": \"gpt2\"", "'model_type' is 'gpt2' and only 'llama' is written")]
    [InlineData("\"rope_scaling\": null", "\"rope_scaling\": {\"type\":\"linear\"}", "only plain rotary positions are written")]
    [InlineData("\"hidden_size\": 64,", "", "'hidden_size' is not there")]
    [InlineData("\"num_hidden_layers\": 5", "\"num_hidden_layers\": 4", "has no name for the model's tensor 'model.layers.4.input_layernorm.weight'")]
    public void A_model_that_gguf_cannot_hold_is_refused_before_anything_is_solved(string from, string to, string reason)
    {
        project.Edit("config.json", from, to);
        var failure = Should.Throw<PipelineException>(() => project.Run(Recipe(ExportFormats.Gguf, (Query, new Quantize()))));
        (failure.Diagnostic.Id, failure.Diagnostic.Severity).ShouldBe((DiagnosticIds.NotExportable, Severity.Error));
        failure.Message.ShouldContain(reason);
        Directory.Exists(project.In("models")).ShouldBeFalse();
    }

    [Fact]
    public void Without_a_configuration_there_is_no_gguf_and_checkpoints_hold_their_quantisation_alone()
    {
        File.Delete(project.In("config.json"));
        Should.Throw<PipelineException>(() => project.Run(Recipe(ExportFormats.Gguf, (Query, new Quantize())))).Message.ShouldContain("'config.json' beside the weights, which is not there");
        project.Run(Recipe(ExportFormats.Gptq, (Query, new Quantize())));
        JsonNode.Parse(File.ReadAllText(project.In("models/tiny/export/gptq/config.json")))!.AsObject().Select(entry => entry.Key).ShouldBe(["quantization_config"]);
    }

    [Fact]
    public void A_tokenizer_that_has_no_counterpart_is_left_out_with_a_warning()
    {
        project.Edit("tokenizer.json", "\"byte_fallback\": true", "\"byte_fallback\": false");
        var (records, _) = project.Export(ExportFormats.Gguf, (Table, Rounded(512, 64, 8)));
        records[0].Notes.ShouldHaveSingleItem().ShouldContain("it cuts text in a way that has no name here");
        new ForeignGguf(project.In("artifact/export/gguf/model.gguf")).Values.Keys.ShouldNotContain("tokenizer.ggml.model");
    }

    [Fact]
    public void A_byte_level_tokenizer_keeps_its_merges()
    {
        var values = GgufVocabulary.Read(StoryFiles.Large("gsmbard-4m/tokenizer.json"), 2050, out string? problem).ToDictionary();
        problem.ShouldBeNull();
        values["tokenizer.ggml.model"].Content.ShouldBe("gpt2");
        values["tokenizer.ggml.pre"].Content.ShouldBe("gpt-2");
        var tokens = (string[])((GgufArray)values["tokenizer.ggml.tokens"].Content).Items;
        (tokens[0], tokens[1], tokens[2049], tokens.Length).ShouldBe(("<|endoftext|>", "!", "[PAD2049]", 2050));
        var types = (int[])((GgufArray)values["tokenizer.ggml.token_type"].Content).Items;
        (types[0], types[1], types[2049]).ShouldBe((3, 1, 5));
        ((string[])((GgufArray)values["tokenizer.ggml.merges"].Content).Items).ShouldAllBe(merge => merge.Split(' ', StringSplitOptions.None).Length == 2);
        GgufVocabulary.Read(StoryFiles.Large("gsmbard-4m/tokenizer.json"), 100, out problem).ShouldBeEmpty();
        problem!.ShouldContain("and the model has 100 embeddings");
    }

    [Fact]
    public void Exports_are_files_of_the_artifact_and_go_when_the_recipe_drops_them()
    {
        (string, Step)[] rules = [("**.self_attn.*", new Quantize()), ("**.up_proj", new Decompose { Rank = 8 })];
        const ExportFormats all = ExportFormats.Gptq | ExportFormats.CompressedTensors | ExportFormats.Bitsandbytes | ExportFormats.Gguf;
        var first = project.Run(Recipe(all, rules));
        first.Manifest.Exports!.Select(export => export.Format).ShouldBe(["gptq", "compressedTensors", "bitsandbytes", "gguf"]);
        string[] exported = [.. first.Manifest.Exports!.SelectMany(export => export.Files).Select(file => file.Path)];
        exported.ShouldContain("export/gptq/config.json");
        exported.ShouldContain("export/gguf/model.gguf");
        exported.ShouldContain("export/bitsandbytes/tokenizer_config.json");
        first.Files.Select(file => Path.GetRelativePath(project.In("models/tiny"), file).Replace('\\', '/')).ShouldBe(exported.Concat(ArtifactFiles.All));
        first.Files.ShouldAllBe(file => File.Exists(file));
        first.Inputs.ShouldContain(project.In("config.json"));
        project.Diagnostics.ShouldAllBe(diagnostic => diagnostic.Id == DiagnosticIds.NotExportable && diagnostic.Severity == Severity.Warning && diagnostic.Span.Line == 2);
        File.ReadAllText(project.In("models/tiny/report.md")).ShouldContain("| gguf | `export/gguf/model.gguf` |");
        var config = JsonNode.Parse(File.ReadAllText(project.In("models/tiny/export/gptq/config.json")))!;
        ((string)config["architectures"]![0]!, (double)config["initializer_range"]!).ShouldBe(("LlamaForCausalLM", 0.02));

        Directory.Delete(project.In("cache"), recursive: true);
        byte[][] bytes = [.. exported.Select(file => File.ReadAllBytes(project.In("models/tiny/" + file)))];
        project.Run(Recipe(all, rules));
        exported.Select(file => File.ReadAllBytes(project.In("models/tiny/" + file))).ShouldBe(bytes);

        project.Run(Recipe(ExportFormats.Gguf, rules));
        Directory.GetDirectories(project.In("models/tiny/export")).Select(Path.GetFileName).ShouldBe(["gguf"]);
        var last = project.Run(Recipe(ExportFormats.None, rules));
        last.Manifest.Exports.ShouldBeNull();
        Directory.Exists(project.In("models/tiny/export")).ShouldBeFalse();
    }

    private ForeignCheckpoint Checkpoint(string format) => new(project.In("artifact/export/" + format));

    private static bool SameValues(Tensor actual, Tensor expected) => actual.shape.SequenceEqual(expected.shape) && actual.eq(expected).all().item<bool>();

    private static Permuted Reordered(Grid grid)
    {
        int[] order = [.. Enumerable.Range(0, (int)grid.Columns)];
        new Random(5).Shuffle(order);
        return new(grid, tensor(order));
    }

    private static Product LowRank(long rows, long columns) => new(new Dense(randn(rows, 4)), new Dense(randn(4, columns)));

    private static Reshaped NormalFloat(long rows, long columns, bool nested, float shift = 0)
    {
        var levels = GoldenFile.Open("quant-baselines")["out.nf4.table"] + shift;
        long count = rows * columns;
        long blocks = (count + 63) / 64;
        var codes = randint(0, 16, [1, count], dtype: int16);
        var scales = nested
            ? Grid.Pack(new(1, blocks, 8, false, Granularity.Group, 256), randint(0, 256, [1, blocks], dtype: int16), rand(1, (blocks + 255) / 256), tensor(new[] { 0.37f }).reshape(1, 1), GoldenFile.Open("quant-baselines")["out.nf4.dynamic_map"])
            : (Expression)new Dense(rand(1, blocks));
        return new(Grid.Pack(new(1, count, 4, false, Granularity.Group, 64), codes, scales, null, levels), rows, columns);
    }
}
