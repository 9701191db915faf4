using System.Globalization;
using System.Net;
using System.Text;

namespace PipelineDsl.Benchmarks;

/// <summary>The leaderboard as one HTML file without outside parts: for each model a plot of log perplexity against bytes, and the table.</summary>
internal static class LeaderboardPage
{
    private const double Width = 1060;
    private const double Height = 560;
    private const double Left = 70;
    private const double Right = 230;
    private const double Top = 20;
    private const double Bottom = 60;
    private const int LabelDistance = 15;

    private const string Style = """
        body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem; color: #1b1f24; background: #fff }
        svg { width: 100%; height: auto; font: 12px system-ui, sans-serif } table { border-collapse: collapse } td, th { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ddd }
        td:nth-child(-n+2), th:nth-child(-n+2) { text-align: left } details { margin: 1rem 0 3rem }
        """;

    private static readonly Dictionary<string, string> Colours = new(StringComparer.Ordinal)
    {
        ["svd"] = "#6b7280",
        ["context"] = "#b45309",
        ["whitened"] = "#1d4ed8",
        ["output"] = "#047857",
        ["fisher"] = "#a21caf",
        ["spatial"] = "#0e7490",
        [LeaderboardMethods.Nearest] = "#b91c1c",
    };

    /// <summary>The page.</summary>
    public static string Write(IReadOnlyList<LeaderboardEntry> entries, IReadOnlyList<LeaderboardClaim> claims)
    {
        var page = new StringBuilder();
        page.Append(CultureInfo.InvariantCulture, $"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Leaderboard</title><style>{Style}</style></head><body>\n<h1>Quality against bytes</h1>\n");
        page.Append("<p>Lower perplexity, higher accuracy and further left are better. Dashed: the same share of parameters in every layer. Solid: ranks allocated by predicted error, in no more bytes. Dotted: by measured sensitivity. 1 KB = 1024 bytes.</p>\n");
        foreach (var model in entries.GroupBy(entry => entry.Model))
        {
            page.Append(CultureInfo.InvariantCulture, $"<h2>{WebUtility.HtmlEncode(model.Key)}</h2>\n");
            Plot(page, [.. model]);
            Claims(page, claims.Where(claim => claim.Model == model.Key));
            Table(page, model);
        }

        return page.Append("</body></html>\n").ToString();
    }

    private static void Plot(StringBuilder page, List<LeaderboardEntry> entries)
    {
        double mostBytes = entries.Max(entry => entry.Bytes) * 1.02;
        bool accuracy = entries[0].HigherIsBetter;
        double Scale(double quality) => accuracy ? quality : Math.Log(quality);
        double low = accuracy ? 0 : Math.Log(entries.Min(entry => entry.Quality) * 0.95);
        double high = accuracy ? 1 : Math.Log(entries.Max(entry => entry.Quality) * 1.05);
        string X(double bytes) => Number(Left + (bytes / mostBytes * (Width - Left - Right)));
        double Y(double quality) => Height - Bottom - ((Scale(quality) - low) / (high - low) * (Height - Top - Bottom));

        page.Append(CultureInfo.InvariantCulture, $"<svg viewBox=\"0 0 {Width} {Height}\" role=\"img\" aria-label=\"{(accuracy ? "Accuracy" : "Perplexity, logarithmic,")} against bytes of the compressed layers\">\n");
        foreach (double tick in accuracy ? Enumerable.Range(0, 6).Select(fifth => fifth / 5.0) : Ticks(Math.Exp(low), Math.Exp(high)))
        {
            page.Append(CultureInfo.InvariantCulture, $"<path d=\"M{Left} {Number(Y(tick))}H{Width - Right}\" stroke=\"#e5e7eb\"/><text x=\"{Left - 8}\" y=\"{Number(Y(tick) + 4)}\" text-anchor=\"end\">{tick}</text>\n");
        }

        for (int fifth = 1; fifth <= 5; fifth++)
        {
            double bytes = entries.Max(entry => entry.Bytes) * fifth / 5.0;
            page.Append(CultureInfo.InvariantCulture, $"<path d=\"M{X(bytes)} {Top}V{Height - Bottom}\" stroke=\"#e5e7eb\"/><text x=\"{X(bytes)}\" y=\"{Height - Bottom + 18}\" text-anchor=\"middle\">{bytes / 1024:0} KB</text>\n");
        }

        page.Append(CultureInfo.InvariantCulture, $"<text x=\"{(Left + Width - Right) / 2}\" y=\"{Height - 15}\" text-anchor=\"middle\">bytes of the compressed layers</text><text transform=\"translate(18 {Height / 2}) rotate(-90)\" text-anchor=\"middle\">{(accuracy ? "accuracy" : "perplexity (logarithmic)")}</text>\n");
        double below = Top;
        foreach (var series in entries.Where(entry => entry.Method != "original").GroupBy(entry => entry.Series).OrderBy(series => series.MinBy(entry => entry.Bytes)!.Quality).Reverse())
        {
            var points = series.OrderBy(entry => entry.Bytes).ToList();
            string colour = Colour(points[0].Method);
            string dash = points[0].Allocation switch { "uniform" => " stroke-dasharray=\"6 4\"", "measured" => " stroke-dasharray=\"2 3\"", _ => "" };
            page.Append(CultureInfo.InvariantCulture, $"<path d=\"M{string.Join('L', points.Select(point => X(point.Bytes) + " " + Number(Y(point.Quality))))}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>\n");
            foreach (var point in points)
            {
                page.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{X(point.Bytes)}\" cy=\"{Number(Y(point.Quality))}\" r=\"3.5\" fill=\"{colour}\"><title>{series.Key}, {point.Setting}: {point.Bytes} bytes, {point.Quality:0.00}</title></circle>\n");
            }

            below += LabelDistance;
            page.Append(CultureInfo.InvariantCulture, $"<path d=\"M{Width - Right + 20} {Number(below - 4)}h34\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/><text x=\"{Width - Right + 62}\" y=\"{Number(below)}\">{series.Key}</text>\n");
        }

        double original = entries.First(entry => entry.Method == "original").Quality;
        page.Append(CultureInfo.InvariantCulture, $"<path d=\"M{Left} {Number(Y(original))}H{Width - Right}\" stroke=\"#111827\"/><text x=\"{Width - Right + 8}\" y=\"{Number(Y(original) + 4)}\">original {original:0.00}</text>\n</svg>\n");
    }

    /// <summary>A method's colour: its own, or one that its name gives it.</summary>
    private static string Colour(string method) => Colours.TryGetValue(method, out string? colour)
        ? colour
        : string.Create(CultureInfo.InvariantCulture, $"hsl({LeaderboardMethods.Names.TakeWhile(name => name != method).Count() * 47 % 360} 60% 42%)");

    private static void Claims(StringBuilder page, IEnumerable<LeaderboardClaim> claims)
    {
        page.Append("<details open><summary>What should be so, and whether it is</summary><ul>\n");
        foreach (var claim in claims.OrderBy(claim => claim.Holds))
        {
            page.Append(CultureInfo.InvariantCulture, $"<li>{(claim.Holds ? "✓" : "<strong>✗ does not hold:</strong>")} {WebUtility.HtmlEncode(claim.Text)} <small>({WebUtility.HtmlEncode(claim.Figures)})</small></li>\n");
        }

        page.Append("</ul></details>\n");
    }

    private static void Table(StringBuilder page, IEnumerable<LeaderboardEntry> entries)
    {
        page.Append("<details><summary>Figures</summary><table><tr><th>Method</th><th>Allocation</th><th>Asked</th><th>Bytes</th><th>Bits a weight</th><th>Share</th><th>Quality</th></tr>\n");
        foreach (var entry in entries)
        {
            page.Append(CultureInfo.InvariantCulture, $"<tr><td>{entry.Method}</td><td>{entry.Allocation}</td><td>{entry.Setting}</td><td>{entry.Bytes}</td><td>{entry.Bits:0.00}</td><td>{entry.Share:0.0%}</td><td>{entry.Quality:0.000}</td></tr>\n");
        }

        page.Append("</table></details>\n");
    }

    /// <summary>1, 2, 5 times powers of ten.</summary>
    private static IEnumerable<double> Ticks(double low, double high) =>
        Enumerable.Range(-3, 12).SelectMany(power => new[] { 1, 2, 5 }.Select(digit => digit * Math.Pow(10, power))).Where(tick => tick >= low && tick <= high);

    private static string Number(double value) => value.ToString("0.#", CultureInfo.InvariantCulture);
}
