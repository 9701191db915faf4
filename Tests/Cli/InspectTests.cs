using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Cli.Tests;

/// <summary><c>pipeline inspect</c>.</summary>
public sealed class InspectTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_weights_file_is_listed_in_plain_lines()
    {
        var result = Cli.Succeed("inspect", Mixed());

        result.Lines[0].ShouldEndWith("mixed.safetensors: 3 tensors, 12 values, 36 B");
        result.Lines[1].ShouldBe("  format: pt");
        result.Lines[2].ShouldBe("name           dtype  shape   bytes");
        result.Lines[3].ShouldBe("block.fc.bias  F16    [2]         4");
        result.Lines[4].ShouldBe("block.fc.w     F32    [2, 3]     24");
        result.Lines[5].ShouldBe("head           BF16   [4]         8");
        result.Lines[6].ShouldBe("F32: 1 tensor, 24 B, BF16: 1 tensor, 8 B, F16: 1 tensor, 4 B");
        result.Output.ShouldNotContain('\u001b');
    }

    [Fact]
    public void On_a_terminal_the_same_is_a_table_in_colours()
    {
        var result = Cli.RunOnTerminal("inspect", Mixed(), "--stats");

        result.ExitCode.ShouldBe(ExitCodes.Fine);
        result.Output.ShouldContain("\u001b[");
        result.Output.ShouldContain("╭");
        result.Output.ShouldContain("block.fc.w");
    }

    [Fact]
    public void Statistics_are_those_of_the_finite_values()
    {
        var tensors = Cli.Succeed("inspect", Mixed(), "--stats", "--json").Json.GetProperty("tensors");

        var bias = tensors[0].GetProperty("statistics");
        bias.GetProperty("min").GetDouble().ShouldBe(-2);
        bias.GetProperty("mean").GetDouble().ShouldBe(-0.75);
        var weight = tensors[1].GetProperty("statistics");
        weight.GetProperty("min").GetDouble().ShouldBe(-8);
        weight.GetProperty("max").GetDouble().ShouldBe(4);
        weight.GetProperty("mean").GetDouble().ShouldBe(-0.25);
        weight.GetProperty("naNs").GetInt64().ShouldBe(1);
        weight.GetProperty("infinities").GetInt64().ShouldBe(1);
        tensors[2].GetProperty("statistics").GetProperty("max").GetDouble().ShouldBe(3);
    }

    [Theory]
    [InlineData("F8_E4M3", (byte)0x7e, 448)]
    [InlineData("F8_E4M3", (byte)0xb8, -1)]
    [InlineData("F8_E5M2", (byte)0xc0, -2)]
    [InlineData("I8", (byte)0x80, -128)]
    [InlineData("U8", (byte)0x80, 128)]
    public void Values_of_one_byte_mean_what_their_type_says(string dtype, byte value, double expected)
    {
        string file = folder.Write("a.safetensors", Tensors.File(null, Tensors.Of("t", dtype, [1], value)));

        Cli.Succeed("inspect", file, "--stats", "--json").Json.GetProperty("tensors")[0].GetProperty("statistics").GetProperty("mean").GetDouble().ShouldBe(expected);
    }

    [Fact]
    public void Long_tensors_are_read_in_pieces()
    {
        float[] values = [.. Enumerable.Range(0, 600_000).Select(index => index)];
        string file = folder.Write("a.safetensors", Tensors.File(null, Tensors.Of("t", "F32", [600, 1000], values)));

        var statistics = Cli.Succeed("inspect", file, "--stats", "--json").Json.GetProperty("tensors")[0].GetProperty("statistics");
        statistics.GetProperty("max").GetDouble().ShouldBe(599_999);
        statistics.GetProperty("mean").GetDouble().ShouldBe(299_999.5);
    }

    [Theory]
    [InlineData("*fc*", 2)]
    [InlineData("block.**", 2)]
    [InlineData("{head,block.fc.w}", 2)]
    [InlineData("head", 1)]
    public void A_filter_chooses_by_name(string filter, int count)
    {
        var json = Cli.Succeed("inspect", Mixed(), "--filter", filter, "--json").Json;

        json.GetProperty("tensors").GetArrayLength().ShouldBe(count);
        json.GetProperty("count").GetInt32().ShouldBe(3);
    }

    [Fact]
    public void A_filter_that_chooses_nothing_is_a_mistake() => Cli.Fail("PDSL1012", "inspect", Mixed(), "--filter", "tail").ShouldContain("'tail' matches none of the 3 tensors; the first is 'block.fc.bias'");

    [Fact]
    public void A_filter_that_cannot_be_understood_is_a_mistake_of_usage()
    {
        var result = Cli.Run("inspect", Mixed(), "--filter", "a{b");

        result.ExitCode.ShouldBe(ExitCodes.Usage);
        result.Output.ShouldBeEmpty();
        result.Errors.ShouldContain("opens a brace");
    }

    [Fact]
    public void Shards_are_one_set_of_tensors()
    {
        folder.Write("s/a.safetensors", Tensors.File(null, Tensors.Of("x", "F32", [1], 1f)));
        folder.Write("s/b.safetensors", Tensors.File(null, Tensors.Of("y", "F32", [2], 1f, 2f)));
        folder.Write("s/model.safetensors.index.json", """{ "weight_map": { "x": "a.safetensors", "y": "b.safetensors" } }""");

        var json = Cli.Succeed("inspect", folder["s"], "--json").Json;
        json.GetProperty("kind").GetString().ShouldBe("safetensors");
        json.GetProperty("elements").GetInt64().ShouldBe(3);
    }

    [Fact]
    public void Damaged_and_missing_weights_give_the_errors_of_the_formats()
    {
        byte[] bytes = Tensors.File(null, Tensors.Of("x", "F32", [2], 1f, 2f));
        Cli.Fail("PDSL3002", "inspect", folder.Write("cut.safetensors", bytes[..^1]));
        Cli.Fail("PDSL3002", "inspect", folder.Write("model.pt", "PK\u0003\u0004 and so on")).ShouldContain("ZIP archive, as PyTorch writes them");
        Cli.Fail("PDSL1015", "inspect", folder["nothing.safetensors"]);
        Cli.Fail("PDSL1015", "inspect", folder.Path, "--json").ShouldContain("holds neither");
        Cli.Fail("PDSL3002", "inspect", folder.Write("bad.gguf", "GGUF and so on"));
    }

    [Fact]
    public void An_adapter_is_its_settings_and_its_tensors()
    {
        string prefix = "base_model.model.fc.lora_";
        folder.Write("adapter/adapter_model.safetensors", Tensors.File(null, Tensors.Of(prefix + "A.weight", "F32", [1, 2], 1f, 2f), Tensors.Of(prefix + "B.weight", "F32", [3, 1], 1f, 2f, 3f)));
        folder.Write("adapter/adapter_config.json", """{ "peft_type": "LORA", "r": 1, "lora_alpha": 16, "target_modules": ["fc"], "surprise": 1 }""");

        var result = Cli.Run("inspect", folder["adapter"], "--json");
        result.ExitCode.ShouldBe(ExitCodes.Fine);
        result.Errors.ShouldContain("warning PDSL3002: 'surprise' is unknown");
        result.Json.GetProperty("kind").GetString().ShouldBe("adapter");
        result.Json.GetProperty("metadata").GetProperty("alpha").GetString().ShouldBe("16");
        result.Json.GetProperty("tensors").GetArrayLength().ShouldBe(2);
    }

    [Fact]
    public void An_adapter_that_is_a_pickle_is_refused()
    {
        folder.Write("adapter/adapter_model.bin", "pickle");
        folder.Write("adapter/adapter_config.json", """{ "peft_type": "LORA", "r": 1, "target_modules": ["fc"] }""");

        Cli.Fail("PDSL3002", "inspect", folder["adapter"]).ShouldContain("a pickle that may run any code");
    }

    [Fact]
    public void An_artifact_is_told_layer_by_layer()
    {
        Artifact();

        var result = Cli.Succeed("inspect", folder["models/tiny"]);
        result.Lines.ShouldBe(
        [
            "tiny: Demo.Mlp",
            "  bytes: 576 → 208 (2.77×)",
            "  perplexity: 6.1000 → 6.4000 (+4.92%, limit 10%)",
            "  made by: PipelineDsl 0.1.0 on cpu",
            "layer  shape    form                   bits  before  after  error",
            "fc1    [16, 8]  product(grid8, dense)  8.00     512    128  3.13%",
            "kept as they were: 1 tensor, 64 B",
            "warning: something to know",
        ]);
        var layer = Cli.Succeed("inspect", folder["models/tiny"], "--json").Json.GetProperty("layers")[0];
        layer.GetProperty("bitsPerWeight").GetDouble().ShouldBe(8);
        layer.GetProperty("form").GetString().ShouldBe("product(grid8, dense)");
        layer.GetProperty("steps")[0].GetString().ShouldBe("decompose { rank: 2 }");
    }

    [Fact]
    public void A_damaged_manifest_gives_the_error_of_artifacts()
    {
        folder.Write("broken/manifest.json", "{");

        Cli.Fail("PDSL3010", "inspect", folder["broken"]);
    }

    private string Mixed() => folder.Write("mixed.safetensors", Tensors.File(
        """{"format":"pt"}""",
        Tensors.Of("block.fc.w", "F32", [2, 3], 1f, -8f, 2f, 4f, float.NaN, float.PositiveInfinity),
        Tensors.Of("block.fc.bias", "F16", [2], (Half)(-2), (Half)0.5),
        Tensors.Of<ushort>("head", "BF16", [4], 0x3f80, 0x4000, 0x4040, 0)));

    private void Artifact() => folder.Write("models/tiny/manifest.json", ManifestFile.Write(Samples.Manifest()));
}
