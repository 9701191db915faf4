using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Recipes;

/// <summary>How large an artifact may be: the ranks that a recipe leaves open are chosen to fit.</summary>
/// <param name="Amount">Bytes, a share above 0 and at most 1, or bits a weight.</param>
/// <param name="Unit">What the amount counts.</param>
/// <param name="Text">The budget as written.</param>
/// <param name="Span">Where it is written.</param>
public sealed record Budget(double Amount, BudgetUnit Unit, string Text, SourceSpan Span)
{
    /// <summary>What a budget's text may be, for messages.</summary>
    public const string Forms = "a size such as '600 KB' (B, KB, MB, GB; 1 KB = 1024 bytes), a share of the layers' bytes such as '60%', or bits a weight such as '2.5 bpw'";

    /// <summary>The largest budget in bits a weight: no weight has more.</summary>
    internal const int MaxBitsPerWeight = 64;

    private static readonly (string Suffix, double Factor, BudgetUnit Unit)[] Units =
    [
        ("bpw", 1, BudgetUnit.BitsPerWeight), ("%", 0.01, BudgetUnit.Share), ("KB", 1024, BudgetUnit.Bytes),
        ("MB", 1024 * 1024, BudgetUnit.Bytes), ("GB", 1024 * 1024 * 1024, BudgetUnit.Bytes), ("B", 1, BudgetUnit.Bytes),
    ];

    /// <summary>Reads a budget, or says what is wrong with it.</summary>
    public static Budget? Parse(string text, SourceSpan span, out string problem)
    {
        problem = $"'budget' is '{text}'; write {Forms}";
        foreach (var (suffix, factor, unit) in Units)
        {
            if (text.Trim() is { } trimmed && trimmed.EndsWith(suffix, StringComparison.Ordinal))
            {
                string digits = trimmed.Substring(0, trimmed.Length - suffix.Length).TrimEnd();
                bool isNumber = double.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number);
                double amount = number * factor;
                bool inside = amount > 0 && amount <= (unit == BudgetUnit.Share ? 1 : unit == BudgetUnit.BitsPerWeight ? MaxBitsPerWeight : long.MaxValue / 2);
                return isNumber && inside ? new(amount, unit, trimmed, span) : null;
            }
        }

        return null;
    }

    /// <summary>What a budget of this unit may end in.</summary>
    internal static IEnumerable<string> Suffixes(BudgetUnit unit) => Units.Where(known => known.Unit == unit).Select(known => known.Suffix);

    /// <summary>The largest number of bytes of all tensors of the artifact.</summary>
    /// <param name="layerBytes">Bytes of the original weights of the layers that get steps.</param>
    /// <param name="layerCount">Number of values of these weights.</param>
    /// <param name="otherBytes">Bytes of everything else that the artifact stores.</param>
    public long TotalBytes(long layerBytes, long layerCount, long otherBytes) => Unit switch
    {
        BudgetUnit.Bytes => (long)Math.Floor(Amount),
        BudgetUnit.Share => (long)Math.Floor(Amount * layerBytes) + otherBytes,
        _ => (long)Math.Floor(Amount * layerCount / 8) + otherBytes,
    };
}

/// <summary>What a budget counts.</summary>
public enum BudgetUnit
{
    /// <summary>Bytes of all tensors of the artifact.</summary>
    Bytes,

    /// <summary>A share of the original bytes of the layers that get steps.</summary>
    Share,

    /// <summary>Bits for each weight of the layers that get steps.</summary>
    BitsPerWeight,
}

/// <summary>How a budget is spent, and where that is written.</summary>
/// <param name="Method">The method.</param>
/// <param name="Span">Where.</param>
public sealed record WrittenAllocation(AllocationMethod Method, SourceSpan Span);
