using System.Collections.Generic;
using System.Globalization;

namespace PipelineDsl.Recipes.Schema;

/// <summary>Regular expressions, in the common subset of JavaScript and .NET, for numbers that carry a unit.</summary>
internal static class NumberPattern
{
    /// <summary>A decimal number without sign and exponent.</summary>
    public const string Any = @"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)";

    /// <summary>What the numbers zero do not pass.</summary>
    public const string NotZero = @"(?!0*\.?0*[^0-9.])";

    /// <summary>A decimal number, without sign and exponent, of at most <paramref name="limit"/>.</summary>
    public static string AtMost(int limit)
    {
        string digits = limit.ToString(CultureInfo.InvariantCulture);
        var below = new List<string>();
        if (digits.Length > 1)
        {
            below.Add($"[0-9]{{1,{digits.Length - 1}}}");
        }

        // Smaller by its first different digit.
        for (int i = 0; i < digits.Length; i++)
        {
            int smallest = i == 0 && digits.Length > 1 ? 1 : 0;
            if (digits[i] - '0' > smallest)
            {
                int rest = digits.Length - 1 - i;
                below.Add($"{digits.Substring(0, i)}[{smallest}-{digits[i] - '1'}]{(rest > 0 ? $"[0-9]{{{rest}}}" : "")}");
            }
        }

        string fraction = below.Count == 0 ? "" : $@"(?:{string.Join("|", below)})(?:\.[0-9]*)?|";
        return $@"0*(?:{fraction}{digits}(?:\.0*)?|\.[0-9]+)";
    }
}
