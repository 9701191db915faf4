using System.Globalization;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Tests.Report;

public sealed class FiguresTests
{
    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1024, "1.00 KB")]
    [InlineData(10_240, "10.0 KB")]
    [InlineData(422_000, "412 KB")]
    [InlineData(1_048_575, "1.00 MB")]
    [InlineData(15_000_000_000, "14.0 GB")]
    public void Bytes_have_three_digits_and_units_of_1024(long bytes, string text) => Figures.Bytes(bytes).ShouldBe(text);

    [Theory]
    [InlineData(0, "0%")]
    [InlineData(0.00001, "<0.01%")]
    [InlineData(0.0504, "5.04%")]
    [InlineData(0.1234, "12.3%")]
    [InlineData(1.5, "150%")]
    [InlineData(double.NaN, "not a number")]
    public void Shares_have_three_digits(double share, string text) => Figures.Percent(share).ShouldBe(text);

    [Theory]
    [InlineData(0.0219, "+2.19%")]
    [InlineData(-0.0219, "−2.19%")]
    [InlineData(0, "+0%")]
    public void Changes_have_a_sign(double share, string text) => Figures.Change(share).ShouldBe(text);

    [Theory]
    [InlineData(0.004, "<0.01 s")]
    [InlineData(3.31, "3.31 s")]
    [InlineData(200, "3 min 20 s")]
    [InlineData(7_500, "2 h 5 min")]
    public void Durations_read_as_people_say_them(double seconds, string text) => Figures.Seconds(seconds).ShouldBe(text);

    [Fact]
    public void Numbers_do_not_depend_on_the_culture()
    {
        var culture = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo("de-DE");
            Figures.Metric(12.5757).ShouldBe("12.576");
            Figures.Number(0.00012).ShouldBe("1.2e-4");
            Figures.Coordinate(1.25).ShouldBe("1.25");
        }
        finally
        {
            CultureInfo.CurrentCulture = culture;
        }
    }
}
