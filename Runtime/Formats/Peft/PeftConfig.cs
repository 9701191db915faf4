using System.Text.RegularExpressions;

namespace PipelineDsl.Runtime.Formats.Peft;

/// <summary>What <c>adapter_config.json</c> says; <c>bias</c> is always none, because PEFT does not store the other kinds whole.</summary>
public sealed partial record PeftConfig
{
    private static readonly string[] TaskTypes = ["SEQ_CLS", "SEQ_2_SEQ_LM", "CAUSAL_LM", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION"];
    private static readonly string[] LoraInitializations = ["true", "false", "gaussian", "pissa", "olora", "orthogonal", "corda", "eva", "loftq"];
    private static readonly string[] MissInitializations = ["true", "false", BatInitialization, MiniInitialization];

    /// <summary>The initialisation that every type has by default.</summary>
    public const string DefaultInitialization = "true";

    /// <summary>The initialisation of MiSS that says: blocks are affine in the weight (Bat).</summary>
    public const string BatInitialization = "bat";

    /// <summary>The initialisation of MiSS that says: the block is shared along the output, too.</summary>
    public const string MiniInitialization = "mini";

    /// <summary><c>peft_type</c>.</summary>
    public required PeftType Type { get; init; }

    /// <summary><c>r</c>: the rank; the length of a shard for MiSS.</summary>
    public required int Rank { get; init; }

    /// <summary><c>target_modules</c>.</summary>
    public required PeftTargets Targets { get; init; }

    /// <summary><c>lora_alpha</c>: the numerator of the scaling. LoRA only.</summary>
    public double Alpha { get; init; } = 8;

    /// <summary><c>use_rslora</c>: the scaling is α/√r instead of α/r. LoRA only.</summary>
    public bool UseRsLora { get; init; }

    /// <summary><c>use_dora</c>: every module has a magnitude vector. LoRA only.</summary>
    public bool UseDora { get; init; }

    /// <summary><c>rank_pattern</c>: other ranks by pattern, in order; the first hit counts. LoRA only.</summary>
    public IReadOnlyList<(string Pattern, int Rank)> RankPattern { get; init; } = [];

    /// <summary><c>alpha_pattern</c>: other α by pattern, in order; the first hit counts. LoRA only.</summary>
    public IReadOnlyList<(string Pattern, double Alpha)> AlphaPattern { get; init; } = [];

    /// <summary><c>modules_to_save</c>: modules that are stored whole.</summary>
    public IReadOnlyList<string> ModulesToSave { get; init; } = [];

    /// <summary><c>init_lora_weights</c> or <c>init_weights</c>, as in the file; the flags are <c>true</c> and <c>false</c>. For MiSS it says how a block is read.</summary>
    public string Initialization { get; init; } = DefaultInitialization;

    /// <summary><c>mini_r</c>: how many output columns a block has under <see cref="MiniInitialization"/>. MiSS only.</summary>
    public int MiniRank { get; init; } = 1;

    /// <summary><c>fan_in_fan_out</c>: base weights are stored [in, out]. LoRA only.</summary>
    public bool FanInFanOut { get; init; }

    /// <summary><c>lora_dropout</c> or <c>miss_dropout</c>: on the adapter's input, in [0, 1).</summary>
    public double Dropout { get; init; }

    /// <summary><c>task_type</c>, or null.</summary>
    public string? TaskType { get; init; }

    /// <summary><c>base_model_name_or_path</c>, or null.</summary>
    public string? BaseModel { get; init; }

    /// <summary>The rank of a module, after the patterns.</summary>
    /// <exception cref="ArgumentException">A pattern is no regular expression.</exception>
    public int RankOf(string module) => RankPattern.Where(entry => PeftPattern.IsHit(module, entry.Pattern)).Select(entry => entry.Rank).FirstOrDefault(Rank);

    /// <summary>The α of a module, after the patterns.</summary>
    /// <exception cref="ArgumentException">A pattern is no regular expression.</exception>
    public double AlphaOf(string module) => AlphaPattern.Where(entry => PeftPattern.IsHit(module, entry.Pattern)).Select(entry => entry.Alpha).FirstOrDefault(Alpha);

    /// <summary>The factor of a module's update: α/r, or α/√r with rsLoRA; 1 for MiSS.</summary>
    /// <exception cref="ArgumentException">A pattern is no regular expression.</exception>
    public double ScalingOf(string module) => Type == PeftType.Miss ? 1 : AlphaOf(module) / (UseRsLora ? Math.Sqrt(RankOf(module)) : RankOf(module));

    /// <summary>Whether a parameter (<c>model.head.weight</c>) belongs to a module to save.</summary>
    internal bool IsSaved(string parameter) => ModulesToSave.Any(name => IsPartOf(parameter, name));

    /// <summary>Whether a parameter lies in a module of a name.</summary>
    internal static bool IsPartOf(string parameter, string name)
    {
        int dot = -1;
        do
        {
            dot = parameter.IndexOf('.', dot + 1);
        }
        while (dot >= 0 && !PeftPattern.IsNamed(parameter[..dot], name));

        return dot >= 0;
    }

    /// <exception cref="HeaderException">A value is impossible.</exception>
    internal void Check()
    {
        Require(Rank > 0, $"the rank 'r' is {Rank} and must be positive");
        Require(double.IsFinite(Alpha), $"'lora_alpha' is {Alpha}, which is no finite number");
        Require(Dropout is >= 0 and < 1, $"the dropout is {Dropout} and must be in [0, 1)");
        Require(MiniRank > 0, $"'mini_r' is {MiniRank} and must be positive");
        Require(TaskType is null || TaskTypes.Contains(TaskType), $"'task_type' is '{TaskType}'; known are {string.Join(", ", TaskTypes)}");
        Require(Targets.Expression != "all-linear", "'target_modules' is the shorthand 'all-linear', which means nothing without the model's code; name the modules");
        Require(Targets.Expression?.Length > 0 || Targets.Names?.Count > 0, "'target_modules' names no module");
        Require(Targets.Names?.Contains("") != true && !ModulesToSave.Contains(""), "a name in 'target_modules' or 'modules_to_save' is empty");
        foreach (var (pattern, rank) in RankPattern)
        {
            Require(rank > 0, $"the rank of '{pattern}' in 'rank_pattern' is {rank} and must be positive");
        }

        foreach (var (pattern, alpha) in AlphaPattern)
        {
            Require(double.IsFinite(alpha), $"the value of '{pattern}' in 'alpha_pattern' is {alpha}, which is no finite number");
        }

        string[] known = Type == PeftType.Lora ? LoraInitializations : MissInitializations;
        Require(known.Contains(Initialization) || (Type == PeftType.Lora && Iterated().IsMatch(Initialization)), $"the initialisation is '{Initialization}'; known are {string.Join(", ", known)}");
        Require(Type == PeftType.Lora || !(UseRsLora || UseDora || FanInFanOut || RankPattern.Count + AlphaPattern.Count > 0), "MiSS has no rsLoRA, DoRA, patterns or transposed weights");
    }

    private static void Require(bool holds, string reason)
    {
        if (!holds)
        {
            throw new HeaderException(reason);
        }
    }

    [GeneratedRegex(@"\Apissa_niter_[0-9]+\z")]
    private static partial Regex Iterated();
}
