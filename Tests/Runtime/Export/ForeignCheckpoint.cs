using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Tests.Golden;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Export;

/// <summary>Reads exported checkpoints value by value, as their formats are described; shares no code with the product.</summary>
internal sealed class ForeignCheckpoint(string folder)
{
    private readonly GoldenFile file = GoldenFile.Read(Path.Combine(folder, "model.safetensors"));

    public JsonObject Config { get; } = (JsonObject)JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!;

    public JsonObject Quantization => (JsonObject)Config["quantization_config"]!;

    public bool Has(string name) => file.Has(name);

    public Tensor this[string name] => file[name];

    /// <summary>W[o, i] = scales[g_idx[i], o] · (q − z), everything in one stream of bits along inputs (codes) and outputs (zero points).</summary>
    public Tensor Gptq(string layer)
    {
        int bits = (int)Quantization["bits"]!;
        int plus = (string)Quantization["checkpoint_format"]! == "gptq" ? 1 : 0;
        int[] weights = Values<int>(layer + ".qweight"), zeros = Values<int>(layer + ".qzeros"), group = Values<int>(layer + ".g_idx");
        Half[] scales = Values<Half>(layer + ".scales");
        var (inputs, outputs) = (group.Length, (int)file[layer + ".scales"].shape[1]);
        float[] result = new float[outputs * inputs];
        for (int o = 0; o < outputs; o++)
        {
            for (int i = 0; i < inputs; i++)
            {
                int q = Bits(word => weights[word * outputs + o], i * bits, bits);
                int z = Bits(word => zeros[group[i] * (outputs * bits / 32) + word], o * bits, bits) + plus;
                result[o * inputs + i] = (float)scales[group[i] * outputs + o] * (q - z);
            }
        }

        return tensor(result).reshape(outputs, inputs);
    }

    /// <summary>W[o, i] = scale[o, g] · (q − z), both stored with 2^(bits − 1) added.</summary>
    public Tensor CompressedTensors(string layer)
    {
        var arguments = Quantization["config_groups"]!.AsObject().Select(group => group.Value!)
            .Single(group => group["targets"]!.AsArray().Any(target => (string)target! is var name && (name == "Linear" || name == layer)))["weights"]!;
        int bits = (int)arguments["num_bits"]!;
        int perWord = 32 / bits;
        long[] shape = Values<long>(layer + ".weight_shape");
        int[] words = Values<int>(layer + ".weight_packed");
        var scales = file[layer + ".weight_scale"].to(float32);
        var (outputs, inputs, groups) = ((int)shape[0], (int)shape[1], (int)scales.shape[1]);
        float[] scale = scales.data<float>().ToArray();
        int[]? zeros = Has(layer + ".weight_zero_point") ? Values<int>(layer + ".weight_zero_point") : null;
        (zeros is null).ShouldBe((bool)arguments["symmetric"]!);
        int[] group = Has(layer + ".weight_g_idx") ? Values<int>(layer + ".weight_g_idx") : [.. Enumerable.Range(0, inputs).Select(i => i / (inputs / groups))];
        int mask = (1 << bits) - 1;
        float[] result = new float[outputs * inputs];
        for (int o = 0; o < outputs; o++)
        {
            for (int i = 0; i < inputs; i++)
            {
                int q = (words[o * ((inputs + perWord - 1) / perWord) + (i / perWord)] >> (i % perWord * bits)) & mask;
                int z = zeros is null ? 1 << (bits - 1) : (zeros[o / perWord * groups + group[i]] >> (o % perWord * bits)) & mask;
                result[o * inputs + i] = scale[o * groups + group[i]] * (q - z);
            }
        }

        return tensor(result).reshape(outputs, inputs);
    }

    /// <summary>Values of a table times the scale of their block, the first of a byte in the high nibble.</summary>
    public Tensor Bitsandbytes(string layer)
    {
        string name = layer + ".weight";
        var state = JsonNode.Parse(Values<byte>(name + ".quant_state.bitsandbytes__nf4"))!;
        long[] shape = [.. state["shape"]!.AsArray().Select(size => (long)size!)];
        int block = (int)state["blocksize"]!;
        byte[] bytes = Values<byte>(name);
        float[] table = Values<float>(name + ".quant_map");
        float[] scales = state["nested_blocksize"] is { } nested ? Nested(name, (int)nested, (float)state["nested_offset"]!) : Values<float>(name + ".absmax");
        float[] result = [.. Enumerable.Range(0, (int)(shape[0] * shape[1])).Select(i => table[i % 2 == 0 ? bytes[i / 2] >> 4 : bytes[i / 2] & 15] * scales[i / block])];
        return tensor(result).reshape(shape);
    }

    private float[] Nested(string name, int block, float offset)
    {
        float[] table = Values<float>(name + ".nested_quant_map"), scales = Values<float>(name + ".nested_absmax");
        return [.. Values<byte>(name + ".absmax").Select((code, i) => (scales[i / block] * table[code]) + offset)];
    }

    private static int Bits(Func<int, int> word, int place, int count)
    {
        int value = 0;
        for (int bit = 0; bit < count; bit++)
        {
            value |= ((word((place + bit) / 32) >> ((place + bit) % 32)) & 1) << bit;
        }

        return value;
    }

    private T[] Values<T>(string name)
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(file[name].bytes).ToArray();
}
