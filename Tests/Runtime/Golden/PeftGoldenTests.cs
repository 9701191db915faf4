using System.Text.Json;
using PipelineDsl.Runtime.Formats.Peft;
using PipelineDsl.Runtime.Tests.Formats;
using PipelineDsl.Runtime.Tests.Formats.Peft;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>Adapter folders against those that official PEFT wrote.</summary>
[Trait("Category", "Golden")]
public sealed class PeftGoldenTests : IDisposable
{
    private const string Prefix = "base_model.model.";

    private static readonly string[] LoraKeys =
    [
        "alpha_pattern", "base_model_name_or_path", "bias", "fan_in_fan_out", "inference_mode", "init_lora_weights", "lora_alpha", "lora_dropout", "modules_to_save", "peft_type", "r",
        "rank_pattern", "target_modules", "task_type", "use_dora", "use_rslora",
    ];

    private static readonly string[] MissKeys =
        ["base_model_name_or_path", "bias", "inference_mode", "init_weights", "mini_r", "miss_dropout", "modules_to_save", "peft_type", "r", "target_modules", "task_type"];

    private readonly TemporaryFolder folder = new();

    [Theory]
    [InlineData("lora")]
    [InlineData("dora")]
    public void Folders_of_LoRA_have_the_official_keys_shapes_and_configuration(string variant)
    {
        using var scope = NewDisposeScope();
        var golden = GoldenFile.Open("lora-family");
        using var adapter = Lora(golden, variant, Official(golden, variant, folder.File("official")), float32);

        PeftFolder.Write(folder.File("written"), adapter);

        Lines(new ForeignPeft(folder.File("written")).Shapes).ShouldBe(Lines(Keys(golden, variant)));
        File.ReadAllText(folder.File("written/adapter_config.json")).ShouldBe(Text(Entries(golden, variant).Where(entry => LoraKeys.Contains(entry.Key))));
    }

    [Theory]
    [InlineData("bone")]
    [InlineData("bone_ragged")]
    [InlineData("bat")]
    [InlineData("miss")]
    [InlineData("miss_mini")]
    public void Folders_of_Bone_and_MiSS_become_MiSS_with_the_official_keys_shapes_and_configuration(string variant)
    {
        using var scope = NewDisposeScope();
        var golden = GoldenFile.Open("bone");
        using var adapter = Miss(golden, variant, float64);

        PeftFolder.Write(folder.File("written"), adapter);

        var keys = Keys(golden, variant).ToDictionary(entry => entry.Key.Replace(".bone_", ".miss_", StringComparison.Ordinal), entry => entry.Value);
        Lines(new ForeignPeft(folder.File("written")).Shapes).ShouldBe(Lines(keys));
        var entries = Entries(golden, variant);
        entries["peft_type"] = "  \"peft_type\": \"MISS\"";
        entries.TryAdd("mini_r", "  \"mini_r\": 1");
        entries.TryAdd("miss_dropout", "  \"miss_dropout\": 0.0");
        File.ReadAllText(folder.File("written/adapter_config.json")).ShouldBe(Text(entries.Where(entry => MissKeys.Contains(entry.Key))));
    }

    [Theory]
    [InlineData("lora", ScalarType.Float64, 1e-12)]
    [InlineData("lora", ScalarType.Float32, 1e-6)]
    [InlineData("rslora", ScalarType.Float64, 1e-12)]
    [InlineData("rslora", ScalarType.Float32, 1e-6)]
    [InlineData("dora", ScalarType.Float64, 1e-12)]
    [InlineData("dora", ScalarType.Float32, 1e-6)]
    public void A_second_reader_merges_a_written_LoRA_to_the_official_weights(string variant, ScalarType stored, double tolerance)
    {
        using var scope = NewDisposeScope();
        var golden = GoldenFile.Open("lora-family");
        var config = Official(golden, variant == "dora" ? "dora" : "lora", folder.File("official")) with { UseRsLora = variant == "rslora" };
        using var adapter = Lora(golden, variant, config, stored);

        PeftFolder.Write(folder.File("written"), adapter);

        var reader = new ForeignPeft(folder.File("written"));
        foreach (string module in adapter.Modules.Keys)
        {
            string kind = Kind(module);
            reader.Merge(module, golden[$"in.{kind}.W"]).ShouldBeNear(golden[$"out.{variant}.{kind}.W_merged"], tolerance);
            config.ScalingOf(module).ShouldBeNear(golden.Number(variant == "rslora" ? "scaling_rslora" : "scaling_lora"), 1e-15);
        }
    }

    [Theory]
    [InlineData("bone")]
    [InlineData("bone_ragged")]
    [InlineData("bat")]
    [InlineData("miss")]
    [InlineData("miss_mini")]
    public void A_second_reader_merges_a_written_block_to_the_official_weights(string variant)
    {
        using var scope = NewDisposeScope();
        var golden = GoldenFile.Open("bone");
        using var adapter = Miss(golden, variant, float64);
        PeftFolder.Write(folder.File("written"), adapter);

        new ForeignPeft(folder.File("written")).Merge(adapter.Modules.Keys.Single(), golden[$"in.{variant}.W"]).ShouldBeNear(golden[$"out.{variant}.W_merged"], 1e-12);
    }

    [Theory]
    [InlineData("bone")]
    [InlineData("bone_ragged")]
    [InlineData("miss")]
    [InlineData("miss_mini")]
    public void A_block_as_plain_LoRA_gives_the_same_weights(string variant)
    {
        using var scope = NewDisposeScope();
        var golden = GoldenFile.Open("bone");
        using var adapter = Miss(golden, variant, float64);
        string module = adapter.Modules.Keys.Single();
        var weight = golden[$"in.{variant}.W"];

        using var plain = PeftConversion.ToPlainLora(adapter, new Dictionary<string, IReadOnlyList<long>> { [module + ".weight"] = weight.shape });

        PeftFolder.Write(folder.File("plain"), plain);
        new ForeignPeft(folder.File("plain")).Merge(module, weight).ShouldBeNear(golden[$"out.{variant}.W_merged"], 1e-13);
        plain.Config.ScalingOf(module).ShouldBe(1);
    }

    [Theory]
    [InlineData("pissa")]
    [InlineData("olora")]
    [InlineData("pissa_rslora")]
    public void Twice_the_rank_on_the_original_base_equals_the_adapter_on_the_residual(string variant)
    {
        using var scope = NewDisposeScope();
        var golden = GoldenFile.Open("lora-family");
        const string Module = "attn.q_proj";
        var config = new PeftConfig
        {
            Type = PeftType.Lora,
            Rank = golden.Integer("r"),
            Alpha = golden.Number("lora_alpha"),
            UseRsLora = variant == "pissa_rslora",
            Initialization = variant.Split('_')[0],
            Targets = PeftTargets.Named("q_proj"),
        };
        var (a0, b0) = (golden[$"out.{variant}.A0"], golden[$"out.{variant}.B0"]);
        var (a1, b1) = (a0 + golden["in.linear.dA"].to(float32), b0 + golden["in.linear.dB"].to(float32));

        using var plain = PeftConversion.ToPlainLora(One(config, Module, new LoraTensors(a1, b1)), One(config, Module, new LoraTensors(a0, b0)));

        var factors = (LoraTensors)plain.Modules[Module];
        factors.A.ShouldBeNear(golden[$"out.{variant}.converted_A"], 1e-6);
        factors.B.ShouldBeNear(golden[$"out.{variant}.converted_B"], 1e-6);
        var official = JsonDocument.Parse(golden.Setting($"convert.{variant}")).RootElement;
        plain.Config.Rank.ShouldBe(official.GetProperty("r").GetInt32());
        plain.Config.Alpha.ShouldBeNear(official.GetProperty("lora_alpha").GetDouble(), 1e-15);
        plain.Config.UseRsLora.ShouldBe(official.GetProperty("use_rslora").GetBoolean());
        plain.Config.Initialization.ShouldBe(official.GetProperty("init_lora_weights").GetRawText());
        PeftFolder.Write(folder.File("plain"), plain);
        new ForeignPeft(folder.File("plain")).Merge(Module, golden["in.linear.W"]).ShouldBeNear(golden[$"out.{variant}.W_merged"], 1e-5);
    }

    public void Dispose() => folder.Dispose();

    private static PeftAdapter One(PeftConfig config, string module, PeftTensors tensors) => new(config, new Dictionary<string, PeftTensors> { [module] = tensors }, new Dictionary<string, Tensor>());

    /// <summary>The configuration that official PEFT wrote, read by the product from a folder with tensors of the official keys and shapes.</summary>
    private static PeftConfig Official(GoldenFile golden, string variant, string folder)
    {
        WriteOfficial(golden, variant, folder, (_, shape) => ones(shape));
        using var adapter = PeftFolder.Read(folder);
        adapter.Warnings.ShouldBeEmpty();
        return adapter.Config;
    }

    private static void WriteOfficial(GoldenFile golden, string variant, string folder, Func<string, long[], Tensor> values)
    {
        Runtime.Formats.Safetensors.SafetensorsWriter.Write(Path.Combine(folder, "adapter_model.safetensors"), Keys(golden, variant).Select(entry => KeyValuePair.Create(entry.Key, values(entry.Key, entry.Value))));
        File.WriteAllText(Path.Combine(folder, "adapter_config.json"), golden.Setting($"peft_file.{variant}.adapter_config"));
    }

    private static PeftAdapter Lora(GoldenFile golden, string variant, PeftConfig config, ScalarType type)
    {
        var modules = new Dictionary<string, PeftTensors>();
        foreach (string module in Keys(golden, "lora").Keys.Select(key => key[Prefix.Length..key.IndexOf(".lora_", StringComparison.Ordinal)]).Distinct())
        {
            string kind = Kind(module);
            var (a, b) = kind == "linear" ? (golden[$"out.{variant}.linear.A1"], golden[$"out.{variant}.linear.B1"]) : (golden[$"in.{kind}.A1"], golden[$"in.{kind}.B1"]);
            modules[module] = new LoraTensors(a.to(type), b.to(type), config.UseDora ? golden[$"in.dora.{kind}.m1"].to(type) : null, kind == "emb");
        }

        return new(config, modules, new Dictionary<string, Tensor>());
    }

    private PeftAdapter Miss(GoldenFile golden, string variant, ScalarType type)
    {
        WriteOfficial(golden, variant, folder.File("official"), (_, _) => golden[$"in.{variant}.block1"].to(type));
        return PeftFolder.Read(folder.File("official"));
    }

    private static string Kind(string module) => module is "conv" or "emb" ? module : "linear";

    private static Dictionary<string, long[]> Keys(GoldenFile golden, string variant) =>
        JsonSerializer.Deserialize<Dictionary<string, long[]>>(golden.Setting($"peft_file.{variant}.keys"))!;

    private static string[] Lines(IReadOnlyDictionary<string, long[]> shapes) =>
        [.. shapes.Select(entry => $"{entry.Key} [{string.Join(", ", entry.Value)}]").Order(StringComparer.Ordinal)];

    /// <summary>The lines of a configuration, by key.</summary>
    private static SortedDictionary<string, string> Entries(GoldenFile golden, string variant)
    {
        var entries = new SortedDictionary<string, string>(StringComparer.Ordinal);
        string[] lines = golden.Setting($"peft_file.{variant}.adapter_config").Split('\n')[1..^1];
        string key = "";
        foreach (string line in lines)
        {
            if (line.StartsWith("  \"", StringComparison.Ordinal))
            {
                key = line.Split('"')[1];
                entries[key] = line;
            }
            else
            {
                entries[key] += "\n" + line;
            }
        }

        return new(entries.ToDictionary(entry => entry.Key, entry => entry.Value.TrimEnd(',')), StringComparer.Ordinal);
    }

    private static string Text(IEnumerable<KeyValuePair<string, string>> entries) => "{\n" + string.Join(",\n", entries.Select(entry => entry.Value)) + "\n}";
}
