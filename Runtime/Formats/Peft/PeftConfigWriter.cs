using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace PipelineDsl.Runtime.Formats.Peft;

/// <summary>Writes <c>adapter_config.json</c> as Python's <c>json.dumps(…, indent=2, sort_keys=True)</c> does, but keeps the order of patterns, of which the first hit counts.</summary>
internal static class PeftConfigWriter
{
    /// <summary>The bytes of the file.</summary>
    public static byte[] Write(PeftConfig config)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            foreach (var (key, write) in Entries(config))
            {
                json.WritePropertyName(key);
                write(json);
            }

            json.WriteEndObject();
        }

        return Ascii(Encoding.UTF8.GetString(buffer.ToArray()));
    }

    private static SortedDictionary<string, Action<Utf8JsonWriter>> Entries(PeftConfig config)
    {
        bool isLora = config.Type == PeftType.Lora;
        var entries = new SortedDictionary<string, Action<Utf8JsonWriter>>(StringComparer.Ordinal)
        {
            ["peft_type"] = json => json.WriteStringValue(isLora ? "LORA" : "MISS"),
            ["r"] = json => json.WriteNumberValue(config.Rank),
            ["target_modules"] = json => WriteTargets(json, config.Targets),
            ["modules_to_save"] = json => WriteNames(json, config.ModulesToSave.Count == 0 ? null : config.ModulesToSave),
            [isLora ? "init_lora_weights" : "init_weights"] = json => WriteInitialization(json, config.Initialization),
            [isLora ? "lora_dropout" : "miss_dropout"] = json => json.WriteRawValue(Float(config.Dropout)),
            ["bias"] = json => json.WriteStringValue("none"),
            ["inference_mode"] = json => json.WriteBooleanValue(true),
            ["task_type"] = json => json.WriteStringValue(config.TaskType),
            ["base_model_name_or_path"] = json => json.WriteStringValue(config.BaseModel),
        };
        if (isLora)
        {
            entries["lora_alpha"] = json => json.WriteRawValue(Number(config.Alpha));
            entries["use_rslora"] = json => json.WriteBooleanValue(config.UseRsLora);
            entries["use_dora"] = json => json.WriteBooleanValue(config.UseDora);
            entries["fan_in_fan_out"] = json => json.WriteBooleanValue(config.FanInFanOut);
            entries["rank_pattern"] = json => WritePattern(json, config.RankPattern.Select(entry => (entry.Pattern, (double)entry.Rank)));
            entries["alpha_pattern"] = json => WritePattern(json, config.AlphaPattern);
        }
        else
        {
            entries["mini_r"] = json => json.WriteNumberValue(config.MiniRank);
        }

        return entries;
    }

    private static void WriteTargets(Utf8JsonWriter json, PeftTargets targets)
    {
        if (targets.Expression is { } expression)
        {
            json.WriteStringValue(expression);
        }
        else
        {
            WriteNames(json, targets.Names);
        }
    }

    private static void WriteNames(Utf8JsonWriter json, IReadOnlyList<string>? names)
    {
        if (names is null)
        {
            json.WriteNullValue();
            return;
        }

        json.WriteStartArray();
        foreach (string name in names)
        {
            json.WriteStringValue(name);
        }

        json.WriteEndArray();
    }

    private static void WriteInitialization(Utf8JsonWriter json, string initialization)
    {
        if (initialization is "true" or "false")
        {
            json.WriteBooleanValue(initialization == "true");
        }
        else
        {
            json.WriteStringValue(initialization);
        }
    }

    private static void WritePattern(Utf8JsonWriter json, IEnumerable<(string Pattern, double Value)> entries)
    {
        json.WriteStartObject();
        foreach (var (pattern, value) in entries)
        {
            json.WritePropertyName(pattern);
            json.WriteRawValue(Number(value));
        }

        json.WriteEndObject();
    }

    /// <summary>The shortest digits that give the same number.</summary>
    private static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    /// <summary>The same, so that Python reads a float.</summary>
    private static string Float(double value) => Number(value) is var text && text.AsSpan().IndexOfAny('.', 'E') < 0 ? text + ".0" : text;

    /// <summary>Python opens the file in the system's code page, so other characters stand as escapes; they occur in strings alone.</summary>
    private static byte[] Ascii(string json) =>
        Encoding.ASCII.GetBytes(string.Concat(json.Select(letter => char.IsAscii(letter) ? letter.ToString() : $"\\u{(int)letter:x4}")));
}
