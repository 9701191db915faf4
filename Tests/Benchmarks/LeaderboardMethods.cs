namespace PipelineDsl.Benchmarks;

/// <summary>The quantising methods of the leaderboard, each set so that it stores about half a bit a weight beside the codes, as rounding to nearest in groups of 32 does.</summary>
internal static class LeaderboardMethods
{
    /// <summary>Rounding to nearest, what the others are compared with.</summary>
    public const string Nearest = "rtn";

    /// <summary>The method that at least one of the newer ones should be better than at 3 and 2 bits.</summary>
    public const string Gptq = "gptq";

    /// <summary>The methods that should be better than rounding to nearest at 3 and 2 bits.</summary>
    public static readonly string[] FewBits = ["squeezeLlm", "decoupleQ", "flexRound", "lqLora"];

    private static readonly int[] Bits = [8, 4, 3, 2];

    private static readonly Dictionary<string, Func<int, int, Step?>> Steps = new(StringComparer.Ordinal)
    {
        [Nearest] = (bits, _) => new Quantize { Bits = bits },
        [Gptq] = (bits, _) => new Gptq { Bits = bits },
        ["awq"] = (bits, _) => new Awq { Bits = bits, GroupSize = 64 },
        ["hqq"] = (bits, _) => new Hqq { Bits = bits, GroupSize = 64 },
        ["normalFloat"] = (bits, _) => new NormalFloat { Bits = bits },

        // Eight bits would need a table larger than a row of these models.
        ["squeezeLlm"] = (bits, _) => bits == 8 ? null : new SqueezeLlm { Bits = bits, SparseFraction = bits == 2 ? 0.0025 : 0, SensitiveFraction = bits == 2 ? 0.0005 : 0 },
        ["decoupleQ"] = (bits, _) => new DecoupleQ { Bits = bits, Tune = DecoupleTuning.Block },
        ["flexRound"] = (bits, _) => new FlexRound { Bits = bits, GroupSize = 64 },
        ["lqLora"] = (bits, width) => new LqLora { Bits = bits, Rank = Math.Max(1, width * 3 / 256) },
        ["vq4Dit"] = (bits, _) => bits switch
        {
            2 => new Vq4Dit(),
            3 => new Vq4Dit { Codewords = 64, Width = 2 },
            4 => new Vq4Dit { Codewords = 256, Width = 2 },
            _ => null,
        },
        ["powerQuant"] = (bits, _) => new PowerQuant { Bits = bits },
        ["nupes"] = (bits, _) => bits == 8 ? null : new Nupes { Bits = bits },
        ["svdQuant"] = (bits, _) => bits == 4 ? new SvdQuant { Rank = 16 } : null,
    };

    /// <summary>The methods whose bits are also left to a budget: with none of their own, as they stand at other bits.</summary>
    public static readonly IReadOnlyDictionary<string, Step> Open = new Dictionary<string, Step>(StringComparer.Ordinal) { [Nearest] = new Quantize(), [Gptq] = new Gptq() };

    /// <summary>The names.</summary>
    public static IEnumerable<string> Names => Steps.Keys;

    /// <summary>A method at 8 to 2 bits, as far as it has them.</summary>
    /// <param name="name">The method.</param>
    /// <param name="width">The width of the model, which decides the rank that half a bit a weight buys.</param>
    public static IEnumerable<(int Bits, Step Step)> Of(string name, int width) => Bits.Select(bits => (bits, Step: Steps[name](bits, width))).Where(choice => choice.Step is not null).Select(choice => (choice.bits, choice.Step!));
}
