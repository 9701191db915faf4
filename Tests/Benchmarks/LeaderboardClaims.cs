using System.Globalization;

namespace PipelineDsl.Benchmarks;

/// <summary>A statement about one model's entries, and whether they bear it out.</summary>
/// <param name="Model">The model and the text.</param>
/// <param name="Text">The statement.</param>
/// <param name="Holds">Whether it is so.</param>
/// <param name="Figures">The perplexities that decide it.</param>
internal sealed record LeaderboardClaim(string Model, string Text, bool Holds, string Figures);

/// <summary>What the papers and this project say should be so, checked on measured entries; what was not measured is not claimed.</summary>
internal static class LeaderboardClaims
{
    private const double NearestLoss = 0.02;
    private const string LargeModel = "gsmbard-4m";

    /// <summary>The claims on one model.</summary>
    public static IEnumerable<LeaderboardClaim> Of(IReadOnlyList<LeaderboardEntry> entries) => [.. Ranks(entries), .. MixedBits(entries), .. Stacks(entries), .. Quantisation(entries)];

    private static IEnumerable<LeaderboardClaim> Ranks(IReadOnlyList<LeaderboardEntry> entries)
    {
        foreach (var plain in entries.Where(entry => entry is { Method: "svd", Allocation: "uniform" }))
        {
            var oriented = entries.Where(entry => entry.Allocation == "uniform" && entry.Setting == plain.Setting && entry.Method is "whitened" or "context").ToList();
            if (oriented.Count > 0)
            {
                yield return Claim(plain, $"whitened or context-oriented better than plain SVD at {plain.Setting}", oriented.Any(entry => entry.IsBetterThan(plain)), [plain, .. oriented]);
            }
        }

        foreach (var uniform in entries.Where(entry => entry.Allocation == "uniform"))
        {
            if (entries.FirstOrDefault(entry => entry.Allocation == "predicted" && entry.Method == uniform.Method && entry.Setting == uniform.Setting) is { } allocated)
            {
                yield return Claim(uniform, $"{uniform.Method} at {uniform.Setting}: allocated ranks better than uniform ones in no more bytes", allocated.IsBetterThan(uniform) && allocated.Bytes <= uniform.Bytes, [uniform, allocated]);
            }
        }
    }

    private static IEnumerable<LeaderboardClaim> MixedBits(IReadOnlyList<LeaderboardEntry> entries)
    {
        foreach (var mixed in entries.Where(entry => entry.Allocation == "predicted"))
        {
            if (entries.FirstOrDefault(entry => entry.Allocation == "none" && entry.Method == mixed.Method && mixed.Setting == Leaderboard.Mixed(entry.Setting)) is { } alike)
            {
                yield return Claim(alike, $"{alike.Method} at {alike.Setting}: allocated bits below the same for all in no more bytes", mixed.Quality < alike.Quality && mixed.Bytes <= alike.Bytes, [alike, mixed]);
            }
        }
    }

    private static IEnumerable<LeaderboardClaim> Stacks(IReadOnlyList<LeaderboardEntry> entries)
    {
        foreach (var stack in entries.Where(entry => entry.Method == "bitStack"))
        {
            if (entries.FirstOrDefault(entry => entry.Setting == stack.Setting && entry.Method == LeaderboardMethods.Nearest) is { } nearest)
            {
                yield return Claim(stack, $"BitStack below rounding to nearest in the bytes of {stack.Setting}", stack.Quality < nearest.Quality, [nearest, stack]);
            }
        }
    }

    private static IEnumerable<LeaderboardClaim> Quantisation(IReadOnlyList<LeaderboardEntry> entries)
    {
        var original = entries.First(entry => entry.Method == "original");
        if (entries.FirstOrDefault(entry => entry is { Method: LeaderboardMethods.Nearest, Setting: "4 bit" }) is not { HigherIsBetter: false } nearest)
        {
            yield break;
        }

        // Rows of the small model hold two groups; it is not claimed of that one.
        if (nearest.Model.StartsWith(LargeModel, StringComparison.Ordinal))
        {
            yield return Claim(nearest, "4-bit rounding to nearest in groups of 32 costs at most 2 %", nearest.Quality <= original.Quality * (1 + NearestLoss), [original, nearest]);
        }

        var rivals = entries.Where(entry => entry.Setting == "4 bit" && entry.Method != nearest.Method && entry.Bits <= nearest.Bits).ToList();
        if (rivals.MinBy(entry => entry.Quality) is { } best)
        {
            yield return Claim(nearest, "the best 4-bit method, in no more bits, loses at most half of what rounding to nearest loses", best.Quality - original.Quality <= (nearest.Quality - original.Quality) / 2, [original, nearest, best]);
        }

        foreach (string setting in new[] { "3 bit", "2 bit" })
        {
            var few = entries.Where(entry => entry.Setting == setting && LeaderboardMethods.FewBits.Contains(entry.Method)).ToList();
            foreach (var entry in few)
            {
                double rival = At(entries, LeaderboardMethods.Nearest, entry.Bits);
                yield return Claim(entry, $"{entry.Method} at {setting} below rounding to nearest at equal true bits", entry.Quality < rival, [entry], $"{LeaderboardMethods.Nearest} at {Number(entry.Bits)} bits {Number(rival)}");
            }

            if (few.Count > 0 && entries.Any(entry => entry.Method == LeaderboardMethods.Gptq))
            {
                var winners = few.Where(entry => entry.Quality < At(entries, LeaderboardMethods.Gptq, entry.Bits)).ToList();
                yield return Claim(few[0], $"at {setting} one of {string.Join(", ", few.Select(entry => entry.Method))} below GPTQ at equal true bits", winners.Count > 0, few, $"{LeaderboardMethods.Gptq} at {Number(few[0].Bits)} bits {Number(At(entries, LeaderboardMethods.Gptq, few[0].Bits))}");
            }
        }
    }

    /// <summary>A method's perplexity at a number of true bits: log-linear between its two nearest measured points, and past them on the same line.</summary>
    private static double At(IReadOnlyList<LeaderboardEntry> entries, string method, double bits)
    {
        var points = entries.Where(entry => entry.Method == method && entry.Allocation == "none").OrderBy(entry => Math.Abs(entry.Bits - bits)).Take(2).OrderBy(entry => entry.Bits).ToList();
        if (points.Count < 2)
        {
            return points.Count == 1 ? points[0].Quality : double.NaN;
        }

        double share = (bits - points[0].Bits) / (points[1].Bits - points[0].Bits);
        return Math.Exp(Math.Log(points[0].Quality) + (share * (Math.Log(points[1].Quality) - Math.Log(points[0].Quality))));
    }

    private static LeaderboardClaim Claim(LeaderboardEntry about, string text, bool holds, IEnumerable<LeaderboardEntry> entries, string? more = null) => new(
        about.Model,
        text,
        holds,
        string.Join(", ", entries.Select(entry => $"{entry.Method}{(entry.Allocation == "none" ? "" : " " + entry.Allocation)} {Number(entry.Quality)}").Append(more).OfType<string>()));

    private static string Number(double value) => value.ToString(value < 1 ? "0.000" : value < 1000 ? "0.00" : "0", CultureInfo.InvariantCulture);
}
