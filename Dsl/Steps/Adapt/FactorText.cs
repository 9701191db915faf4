using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace PipelineDsl;

/// <summary>Small positive numbers as one text, <c>8x8x12</c>.</summary>
internal static class FactorText
{
    /// <summary>The numbers, or null where the text is none of these.</summary>
    public static IReadOnlyList<int>? Parse(string text)
    {
        var numbers = new List<int>();
        foreach (string part in text.Split('x'))
        {
            if (!int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int number) || number < 1)
            {
                return null;
            }

            numbers.Add(number);
        }

        return numbers;
    }

    /// <summary>The text of numbers.</summary>
    public static string Of(IEnumerable<long> numbers) => string.Join("x", numbers.Select(number => number.ToString(CultureInfo.InvariantCulture)));
}
