using System.Globalization;
using System.Net;
using System.Text.Json;
using System.Text.RegularExpressions;
using PipelineDsl.Dsl.Tests;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Tests.Report;

/// <summary>What a browser makes of the page. Pictures lie in <c>artifacts/screenshots</c> afterwards, to be looked at.</summary>
public sealed partial class ScreenshotTests : IDisposable
{
    private const int Height = 2400;
    private const int PhoneWidth = 390;
    private const int DesktopWidth = 1280;

    /// <summary>The contrast that WCAG 2 asks of text, level AA.</summary>
    private const double LeastContrast = 4.5;

    private readonly string folder = Directory.CreateTempSubdirectory("pdsl-screenshots-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData("compression", DesktopWidth, false)]
    [InlineData("compression", DesktopWidth, true)]
    [InlineData("compression", PhoneWidth, false)]
    [InlineData("training", PhoneWidth, true)]
    [InlineData("analysis", DesktopWidth, false)]
    public void Page_fits_its_window_and_can_be_read(string variant, int width, bool dark)
    {
        var chromium = Chromium.Find(Path.Combine(folder, "profile"));
        Assert.SkipWhen(chromium is null, "there is no Chromium on the PATH");
        string page = Path.Combine(folder, "report.html");
        File.WriteAllText(page, HtmlReport.Write(ExampleBuild.Variant(variant), ExampleBuild.Facts));
        string frame = Path.Combine(folder, "frame.html");
        File.WriteAllText(frame, Frame(width));
        string scheme = $"--blink-settings=preferredColorScheme={(dark ? 0 : 1)}";

        string document = chromium.Document(frame, scheme);
        var seen = JsonSerializer.Deserialize<Seen>(WebUtility.HtmlDecode(Result().Match(document).Groups[1].Value), JsonSerializerOptions.Web)!;
        seen.ContentWidth.ShouldBe(width, "the page scrolls sideways");
        Luminance(seen.Background).ShouldBeInRange(dark ? 0 : 0.8, dark ? 0.1 : 1);
        seen.Texts.ShouldNotBeEmpty();
        seen.Texts.Where(text => Contrast(text.Colour, seen.Background) < LeastContrast).Take(5).ShouldBeEmpty();

        string pictures = Documentation.File("artifacts", "screenshots");
        Directory.CreateDirectory(pictures);
        string picture = Path.Combine(pictures, $"{variant}-{width}-{(dark ? "dark" : "light")}.png");
        File.Delete(picture);
        chromium.Screenshot(frame, picture, scheme, $"--window-size={DesktopWidth},{Height}");
        new FileInfo(picture).Length.ShouldBeGreaterThan(20_000);
    }

    /// <summary>A page that holds the report in a frame, for windows of a browser are never as narrow as a phone, and writes down what it sees there.</summary>
    private static string Frame(int width) => $$"""
        <body style="margin: 0"><iframe src="report.html" style="border: 0; width: {{width}}px; height: {{Height}}px"></iframe><script>
        onload = () => {
          const page = document.querySelector("iframe").contentDocument;
          const style = element => page.defaultView.getComputedStyle(element);
          const texts = [...page.querySelectorAll("h1, h2, p, th, td, a, dd, dt, figcaption")]
            .filter(element => element.checkVisibility() && !element.closest("svg"))
            .map(element => ({ text: element.textContent.slice(0, 40), colour: style(element).color }));
          const seen = { contentWidth: page.documentElement.scrollWidth, background: style(page.body).backgroundColor, texts };
          document.body.append(Object.assign(document.createElement("pre"), { textContent: JSON.stringify(seen) }));
        };
        </script>
        """;

    /// <summary>(L1 + 0.05) / (L2 + 0.05), WCAG 2.</summary>
    private static double Contrast(string first, string second)
    {
        double[] both = [Luminance(first), Luminance(second)];
        return (both.Max() + 0.05) / (both.Min() + 0.05);
    }

    /// <summary>Relative luminance of <c>rgb(…)</c>, 0 to 1, WCAG 2.</summary>
    private static double Luminance(string colour)
    {
        double[] parts = [.. Number().Matches(colour).Take(3).Select(part => double.Parse(part.Value, CultureInfo.InvariantCulture) / 255).Select(part => part <= 0.04045 ? part / 12.92 : Math.Pow((part + 0.055) / 1.055, 2.4))];
        return (0.2126 * parts[0]) + (0.7152 * parts[1]) + (0.0722 * parts[2]);
    }

    [GeneratedRegex("<pre>(.*?)</pre>", RegexOptions.Singleline)]
    private static partial Regex Result();

    [GeneratedRegex(@"[\d.]+")]
    private static partial Regex Number();

    private sealed record Seen(int ContentWidth, string Background, SeenText[] Texts);

    private sealed record SeenText(string Text, string Colour);
}
