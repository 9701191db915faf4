using System.Globalization;

namespace PipelineDsl.Runtime.Report;

/// <summary>Turns numbers into the words of a report: invariant culture, three significant digits, 1 KB = 1024 B.</summary>
internal static class Figures
{
    /// <summary>Stands where a number does not exist.</summary>
    public const string Missing = "–";

    private static readonly string[] Units = ["B", "KB", "MB", "GB", "TB"];

    /// <summary>A size, such as <c>412 KB</c>.</summary>
    public static string Bytes(long bytes)
    {
        double value = bytes;
        int unit = 0;
        while (Math.Abs(value) >= 1023.5 && unit < Units.Length - 1)
        {
            value /= 1024;
            unit++;
        }

        return (unit == 0 ? Whole(bytes) : Digits(value)) + " " + Units[unit];
    }

    /// <summary>How many times smaller, such as <c>4.60×</c>.</summary>
    public static string Ratio(long before, long after) => before > 0 && after > 0 ? Digits((double)before / after) + "×" : Missing;

    /// <summary>A share, such as <c>12.5%</c>.</summary>
    public static string Percent(double? share) => share switch
    {
        null => Missing,
        0 => "0%",
        > 0 and < 0.0001 => "<0.01%",
        double.NaN or double.PositiveInfinity => Digits(share.Value),
        _ => Digits(share.Value * 100) + "%",
    };

    /// <summary>A share as its author wrote it, such as <c>5%</c>.</summary>
    public static string Limit(double share) => (share * 100).ToString("0.####", CultureInfo.InvariantCulture) + "%";

    /// <summary>A change with its sign, such as <c>+2.19%</c>.</summary>
    public static string Change(double share) => share < 0 ? "−" + Percent(-share) : "+" + Percent(share);

    /// <summary>A measured number, such as <c>12.3</c>; very large and very small ones in powers of ten.</summary>
    public static string Number(double? number) => number switch
    {
        null => Missing,
        0 => "0",
        { } value when double.IsFinite(value) && Math.Abs(value) is < 0.01 or >= 1e6 => value.ToString("0.##e+0", CultureInfo.InvariantCulture),
        { } value => Digits(value),
    };

    /// <summary>A measured number with four digits behind the point: neighbouring results must not look equal.</summary>
    public static string Metric(double number) => double.IsFinite(number) && Math.Abs(number) < 1e6
        ? number.ToString(Math.Abs(number) < 10 ? "0.0000" : "0.000", CultureInfo.InvariantCulture)
        : Number(number);

    /// <summary>A duration, such as <c>0.42 s</c> or <c>3 min 20 s</c>.</summary>
    public static string Seconds(double? seconds) => seconds switch
    {
        null => Missing,
        >= 99.5 and < 1e9 => Minutes((long)Math.Round(seconds.Value)),
        > 0 and < 0.01 => "<0.01 s",
        _ => Digits(seconds.Value) + " s",
    };

    /// <summary>The sizes of a tensor, such as <c>64 × 172</c>.</summary>
    public static string Shape(IReadOnlyList<long> shape) => string.Join(" × ", shape.Select(Whole));

    /// <summary>A count.</summary>
    public static string Whole(long number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>A count with its noun: <c>1 layer</c>, <c>36 layers</c>.</summary>
    public static string Count(long number, string noun) => Whole(number) + " " + noun + (number == 1 ? "" : "s");

    /// <summary>A length or position in a drawing.</summary>
    public static string Coordinate(double length) => length.ToString("0.##", CultureInfo.InvariantCulture);

    /// <summary>A number in full, for sorting.</summary>
    public static string Exact(double number) => number.ToString("R", CultureInfo.InvariantCulture);

    private static string Minutes(long seconds) => seconds < 3600
        ? $"{Whole(seconds / 60)} min {Whole(seconds % 60)} s"
        : $"{Whole(seconds / 3600)} h {Whole(seconds % 3600 / 60)} min";

    private static string Digits(double value) => value switch
    {
        double.NaN => "not a number",
        double.PositiveInfinity => "∞",
        double.NegativeInfinity => "−∞",
        _ => value.ToString(Math.Abs(value) switch { < 9.995 => "0.00", < 99.95 => "0.0", _ => "0" }, CultureInfo.InvariantCulture),
    };
}
