using System.Text.Json;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Runtime.Formats.Peft;

/// <summary>Reads <c>adapter_config.json</c>.</summary>
internal sealed class PeftConfigReader
{
    /// <summary>Settings that change what an adapter does in ways that these records cannot say.</summary>
    private static readonly HashSet<string> Unsupported =
    [
        "lora_bias", "use_qalora", "layer_replication", "target_parameters", "trainable_token_indices", "alora_invocation_tokens", "arrow_config", "megatron_config",
        "exclude_modules", "layers_to_transform", "layers_pattern",
    ];

    /// <summary>Settings that have no bearing on a trained adapter.</summary>
    private static readonly HashSet<string> Idle =
    [
        "auto_mapping", "inference_mode", "peft_version", "revision", "loftq_config", "eva_config", "corda_config", "megatron_core", "qalora_group_size", "ensure_weight_tying", "runtime_config",
    ];

    private readonly JsonElement root;
    private readonly HashSet<string> used = [.. Unsupported, .. Idle];

    private PeftConfigReader(JsonElement root) => this.root = root;

    /// <summary>Reads a configuration.</summary>
    /// <returns>The configuration, whether the folder is one of the old name BONE, and warnings for keys that are ignored.</returns>
    /// <exception cref="PipelineException">PDSL1015, PDSL3012: as for any file. PDSL3002: it is no JSON, or no configuration.</exception>
    /// <exception cref="HeaderException">It says what is impossible or not supported.</exception>
    public static (PeftConfig Config, bool IsBone, IReadOnlyList<RecipeDiagnostic> Warnings) Read(string path) =>
        StrictJson.Read(path, DiagnosticIds.BrokenWeights, "an adapter configuration", root =>
        {
            var reader = new PeftConfigReader(root);
            string type = reader.Value("peft_type", null, value => value.GetString()) ?? throw new HeaderException("'peft_type' is not there");
            reader.Refuse();
            var config = type switch
            {
                "LORA" => reader.Lora(),
                "MISS" => reader.Miss(),
                "BONE" => reader.Bone(),
                _ => throw new HeaderException($"'peft_type' is '{type}'; known are LORA, MISS and its old name BONE"),
            };
            config.Check();
            return (config, type == "BONE", reader.Ignored(path));
        });

    private PeftConfig Lora() => Common(PeftType.Lora, defaultRank: 8, "init_lora_weights", "lora_dropout") with
    {
        Alpha = Value("lora_alpha", 8.0, value => value.GetDouble()),
        UseRsLora = Value("use_rslora", false, value => value.GetBoolean()),
        UseDora = Value("use_dora", false, value => value.GetBoolean()),
        FanInFanOut = Value("fan_in_fan_out", false, value => value.GetBoolean()),
        RankPattern = Value<IReadOnlyList<(string, int)>>("rank_pattern", [], value => [.. value.EnumerateObject().Select(entry => (entry.Name, entry.Value.GetInt32()))]),
        AlphaPattern = Value<IReadOnlyList<(string, double)>>("alpha_pattern", [], value => [.. value.EnumerateObject().Select(entry => (entry.Name, entry.Value.GetDouble()))]),
    };

    private PeftConfig Miss()
    {
        if (root.Find("init_weights") is null)
        {
            throw new HeaderException("'init_weights' is not there, and without it nobody knows how a block is read");
        }

        return Common(PeftType.Miss, defaultRank: 64, "init_weights", "miss_dropout") with { MiniRank = Value("mini_r", 1, value => value.GetInt32()) };
    }

    private PeftConfig Bone()
    {
        var config = Miss();
        return config.Initialization != PeftConfig.MiniInitialization && config is { MiniRank: 1, Dropout: 0 } ? config
            : throw new HeaderException("'mini' initialisation, 'mini_r' and dropout are of MISS, not of BONE");
    }

    private PeftConfig Common(PeftType type, int defaultRank, string initialization, string dropout)
    {
        if (Value("bias", "none", value => value.GetString()) is var bias && bias != "none")
        {
            throw new HeaderException($"'bias' is '{bias}'; PEFT does not store trained biases whole, so only 'none' is supported");
        }

        return new()
        {
            Type = type,
            Rank = Value("r", defaultRank, value => value.GetInt32()),
            Targets = Value("target_modules", null, Targets) ?? throw new HeaderException("'target_modules' is not there"),
            ModulesToSave = Value<IReadOnlyList<string>>("modules_to_save", [], Names),
            Initialization = Value(initialization, PeftConfig.DefaultInitialization, Initialization),
            Dropout = Value(dropout, 0.0, value => value.GetDouble()),
            TaskType = Value("task_type", null, value => value.GetString()),
            BaseModel = Value("base_model_name_or_path", null, value => value.GetString()),
        };
    }

    private static PeftTargets Targets(JsonElement value) =>
        value.ValueKind == JsonValueKind.String ? PeftTargets.Matching(value.Text()) : PeftTargets.Named(Names(value));

    private static string[] Names(JsonElement value) => [.. value.EnumerateArray().Select(name => name.Text())];

    private static string Initialization(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.True => "true",
        JsonValueKind.False => "false",
        _ when value.Text() is var name && name is not ("true" or "false") => name,
        _ => throw new FormatException("a string"),
    };

    /// <summary>A value, or what stands for one that is absent or null.</summary>
    private T Value<T>(string key, T absent, Func<JsonElement, T> read)
    {
        used.Add(key);
        if (root.Find(key) is not { } value)
        {
            return absent;
        }

        try
        {
            return read(value);
        }
        catch (Exception failure) when (failure is InvalidOperationException or FormatException)
        {
            throw new HeaderException($"'{key}' is {value.GetRawText()}, which is of the wrong kind");
        }
    }

    private void Refuse()
    {
        foreach (var entry in root.EnumerateObject().Where(entry => Unsupported.Contains(entry.Name) && IsSet(entry.Value)))
        {
            throw new HeaderException($"'{entry.Name}' is {entry.Value.GetRawText()}, which is not supported; only adapters without it can be used");
        }
    }

    private static bool IsSet(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.False => false,
        JsonValueKind.Array => value.GetArrayLength() > 0,
        JsonValueKind.Object => value.GetPropertyCount() > 0,
        _ => true,
    };

    private RecipeDiagnostic[] Ignored(string path) =>
        [.. root.EnumerateObject().Where(entry => !used.Contains(entry.Name)).Select(entry => new RecipeDiagnostic(
            DiagnosticIds.BrokenWeights, Severity.Warning, $"'{entry.Name}' is unknown for this type of adapter and is ignored; check that the adapter does not need it", SourceSpan.StartOf(path)))];
}
