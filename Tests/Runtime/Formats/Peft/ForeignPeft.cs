using System.Text.Json;
using System.Text.RegularExpressions;
using PipelineDsl.Runtime.Tests.Golden;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Formats.Peft;

/// <summary>Reads adapter folders as the format is described, and merges them; shares no code with the product.</summary>
internal sealed class ForeignPeft(string folder)
{
    private readonly GoldenFile file = GoldenFile.Read(Path.Combine(folder, "adapter_model.safetensors"));
    private readonly JsonElement config = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "adapter_config.json"))).RootElement;

    public IReadOnlyDictionary<string, long[]> Shapes => file.Names.ToDictionary(name => name, name => file[name].shape);

    /// <summary>The base weight with the adapter in it.</summary>
    public Tensor Merge(string module, Tensor weight)
    {
        string path = "base_model.model." + module;
        return config.GetProperty("peft_type").GetString() switch
        {
            "LORA" => Lora(path, module, weight),
            "MISS" => Miss(file[path + ".miss_block"].to(weight.dtype), weight),
            var other => throw new NotSupportedException(other),
        };
    }

    private Tensor Lora(string path, string module, Tensor weight)
    {
        double rank = Pattern("rank_pattern", module, "r"), alpha = Pattern("alpha_pattern", module, "lora_alpha");
        double s = alpha / (config.GetProperty("use_rslora").GetBoolean() ? Math.Sqrt(rank) : rank);
        bool isEmbedding = file.Has(path + ".lora_embedding_A");
        var a = file[path + (isEmbedding ? ".lora_embedding_A" : ".lora_A.weight")].to(weight.dtype);
        var b = file[path + (isEmbedding ? ".lora_embedding_B" : ".lora_B.weight")].to(weight.dtype);
        a.shape[0].ShouldBe((long)rank);
        var delta = s * b.reshape(b.shape[0], -1).mm(a.reshape(a.shape[0], -1));
        var sum = weight + (isEmbedding || config.GetProperty("fan_in_fan_out").GetBoolean() ? delta.t() : delta.reshape(weight.shape));
        if (!config.GetProperty("use_dora").GetBoolean())
        {
            return sum;
        }

        var m = file[path + ".lora_magnitude_vector"].to(weight.dtype);
        if (isEmbedding)
        {
            return sum * (m / sum.square().sum(dim: 0L).sqrt());
        }

        long[] rows = [sum.shape[0], .. Enumerable.Repeat(1L, (int)sum.dim() - 1)];
        return sum * (m.reshape(-1) / sum.reshape(sum.shape[0], -1).square().sum(dim: 1L).sqrt()).reshape(rows);
    }

    private Tensor Miss(Tensor block, Tensor weight)
    {
        int r = config.GetProperty("r").GetInt32();
        var init = config.GetProperty("init_weights");
        double[] w = weight.to(float64).contiguous().data<double>().ToArray(), d = block.to(float64).contiguous().data<double>().ToArray(), result = [.. w];
        var (rows, columns) = ((int)weight.shape[0], (int)weight.shape[1]);
        bool isBat = init.ValueKind == JsonValueKind.String && init.GetString() == "bat";
        int width = isBat ? r : (int)block.shape[1];
        for (int o = 0; o < rows; o++)
        {
            for (int i = 0; i < columns; i++)
            {
                // Bat: D_g[u, v] with the row's own block g, and W_{g,k} D_g in front.
                int g = o / r, u = o % r, v = i % r, k = i - v;
                result[(o * columns) + i] += !isBat ? d[(v * width) + (o % width)]
                    : d[(((g * r) + u) * r) + v] + Enumerable.Range(0, r).Sum(j => w[(o * columns) + k + j] * d[(((g * r) + j) * r) + v]);
            }
        }

        return tensor(result).reshape(weight.shape).to(weight.dtype);
    }

    private double Pattern(string patterns, string module, string fallback)
    {
        foreach (var entry in config.GetProperty(patterns).EnumerateObject())
        {
            if (Regex.Match(module, $"(.*\\.)?({entry.Name})$") is { Success: true, Index: 0 })
            {
                return entry.Value.GetDouble();
            }
        }

        return config.GetProperty(fallback).GetDouble();
    }
}
