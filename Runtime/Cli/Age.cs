using System.Globalization;

namespace PipelineDsl.Cli;

/// <summary>How long ago something was, in words: <c>30d</c>, <c>12h</c>, <c>90m</c>.</summary>
internal static class Age
{
    private const int LongestDays = 36500;

    /// <summary>The time since a moment, in the largest unit that is not zero.</summary>
    public static string Of(DateTime? moment)
    {
        if (moment is not { } then)
        {
            return "–";
        }

        var age = DateTime.UtcNow - then;
        return age.TotalDays >= 1 ? $"{(int)age.TotalDays}d" : age.TotalHours >= 1 ? $"{(int)age.TotalHours}h" : $"{Math.Max(0, (int)age.TotalMinutes)}m";
    }

    /// <summary>The time that words stand for, or null when they stand for none.</summary>
    public static TimeSpan? Parse(string text) =>
        text.Length > 1 && int.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out int count) && count <= LongestDays
            ? text[^1] switch { 'd' => TimeSpan.FromDays(count), 'h' => TimeSpan.FromHours(count), 'm' => TimeSpan.FromMinutes(count), _ => null }
            : null;
}
