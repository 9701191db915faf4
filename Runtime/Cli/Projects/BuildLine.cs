using System.Globalization;
using System.Text.RegularExpressions;

namespace PipelineDsl.Cli.Projects;

/// <summary>A line of a build that says something is wrong.</summary>
/// <param name="File">The file, or the tool that speaks.</param>
/// <param name="Line">First line; null where no place is named.</param>
/// <param name="Column">First column; null where no place is named.</param>
/// <param name="Severity"><c>error</c> or <c>warning</c>.</param>
/// <param name="Code">The code.</param>
/// <param name="Message">What is wrong.</param>
/// <param name="Text">The line, as editors know it.</param>
internal sealed partial record BuildDiagnostic(string File, int? Line, int? Column, string Severity, string Code, string Message, string Text)
{
    /// <summary>Reads a line; null when it says nothing of the kind.</summary>
    public static BuildDiagnostic? Parse(string line)
    {
        var match = Form().Match(line);
        if (!match.Success)
        {
            return null;
        }

        string text = match.Groups["text"].Value.Trim();
        return new(match.Groups["file"].Value.Trim(), Number("line"), Number("column"), match.Groups["severity"].Value, match.Groups["code"].Value, match.Groups["message"].Value.Trim(), text);

        int? Number(string name) => match.Groups[name].Success ? int.Parse(match.Groups[name].Value, CultureInfo.InvariantCulture) : null;
    }

    /// <summary>MSBuild adds the project in brackets, which everybody knows here.</summary>
    [GeneratedRegex(@"^\s*(?<text>(?<file>.*?)(\((?<line>\d{1,9})(,(?<column>\d{1,9}))?[\d,-]*\))?\s?: (?<severity>error|warning) (?<code>[A-Z]+\d+)\s?: (?<message>.*?))(\s\[[^\[\]]*proj(::[^\[\]]*)?\])?$", RegexOptions.ExplicitCapture)]
    private static partial Regex Form();
}

/// <summary>A line of a build by which a pipeline says how far it is.</summary>
/// <param name="Recipe">The recipe.</param>
/// <param name="Text">What it does.</param>
/// <param name="Done">How much is done, where that is told.</param>
/// <param name="Total">Of how much.</param>
internal sealed partial record BuildProgress(string Recipe, string Text, int? Done, int? Total)
{
    /// <summary>Reads a line; null when it says nothing of the kind.</summary>
    public static BuildProgress? Parse(string line)
    {
        var match = Form().Match(line);
        if (!match.Success)
        {
            return null;
        }

        string text = match.Groups["text"].Value;
        var count = Count().Match(text);
        return count.Success
            ? new(match.Groups["recipe"].Value, text, int.Parse(count.Groups["done"].Value, CultureInfo.InvariantCulture), int.Parse(count.Groups["total"].Value, CultureInfo.InvariantCulture))
            : new(match.Groups["recipe"].Value, text, null, null);
    }

    /// <summary>Two spaces before a high message, as MSBuild writes it at minimal verbosity.</summary>
    [GeneratedRegex(@"^  (?<recipe>[A-Za-z0-9][\w.-]*): (?<text>\S.*)$", RegexOptions.ExplicitCapture)]
    private static partial Regex Form();

    [GeneratedRegex(@"^(step )?(?<done>\d{1,9}) of (?<total>\d{1,9})\b", RegexOptions.ExplicitCapture)]
    private static partial Regex Count();
}
