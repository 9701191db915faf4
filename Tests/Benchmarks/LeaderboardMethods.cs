namespace PipelineDsl.Benchmarks;

/// <summary>The quantising methods of the leaderboard, each set so that it stores about half a bit a weight beside the codes, as rounding to nearest in groups of 32 does.</summary>
internal static class LeaderboardMethods
{
    /// <summary>Rounding to nearest, what the others are compared with.</summary>
    public const string Nearest = "rtn";

    /// <summary>The method that at least one of the newer ones should be better than at 3 and 2 bits.</summary>
    public const string Gptq = "gptq";

    /// <summary>The methods that should be better than rounding to nearest at 3 and 2 bits.</summary>
    public static readonly string[] FewBits = ["squeezeLlm", "decoupleQ", "flexRound"];

    private static readonly int[] Bits = [8, 4, 3, 2];

    private static readonly Dictionary<string, Func<int, Step?>> Steps = new(StringComparer.Ordinal)
    {
        [Nearest] = bits => new Quantize { Bits = bits },
        [Gptq] = bits => new Gptq { Bits = bits },
        ["awq"] = bits => new Awq { Bits = bits, GroupSize = 64 },
        ["hqq"] = bits => new Hqq { Bits = bits, GroupSize = 64 },
        ["normalFloat"] = bits => new NormalFloat { Bits = bits },

        // Eight bits would need a table larger than a row of these models.
        ["squeezeLlm"] = bits => bits == 8 ? null : new SqueezeLlm { Bits = bits, SparseFraction = bits == 2 ? 0.0025 : 0, SensitiveFraction = bits == 2 ? 0.0005 : 0 },
        ["decoupleQ"] = bits => new DecoupleQ { Bits = bits, Tune = DecoupleTuning.Block },
        ["flexRound"] = bits => new FlexRound { Bits = bits, GroupSize = 64 },
        ["powerQuant"] = bits => new PowerQuant { Bits = bits },
        ["nupes"] = bits => bits == 8 ? null : new Nupes { Bits = bits },
        ["svdQuant"] = bits => bits == 4 ? new SvdQuant { Rank = 16 } : null,
    };

    /// <summary>The methods whose bits are also left to a budget: with none of their own, as they stand at other bits.</summary>
    public static readonly IReadOnlyDictionary<string, Step> Open = new Dictionary<string, Step>(StringComparer.Ordinal) { [Nearest] = new Quantize(), [Gptq] = new Gptq() };

    /// <summary>The names.</summary>
    public static IEnumerable<string> Names => Steps.Keys;

    /// <summary>A method at 8 to 2 bits, as far as it has them.</summary>
    public static IEnumerable<(int Bits, Step Step)> Of(string name) => Bits.Select(bits => (bits, Step: Steps[name](bits))).Where(choice => choice.Step is not null).Select(choice => (choice.bits, choice.Step!));
}
