namespace PipelineDsl.Runtime.Report;

/// <summary>The classes of relative error that colours stand for; fixed, so that two reports can be compared.</summary>
internal static class ErrorScale
{
    private static readonly double[] Limits = [0.02, 0.05, 0.1, 0.25];

    /// <summary>What each class means, from the smallest error to the largest.</summary>
    public static IReadOnlyList<string> Labels { get; } = ["under 2%", "2 to 5%", "5 to 10%", "10 to 25%", "25% and more"];

    /// <summary>The style class of an error; an unknown one is shown as the largest.</summary>
    public static string ClassOf(double? error) => "e" + Figures.Whole(Limits.Count(limit => !(error < limit)));
}
