namespace PipelineDsl.Runtime.Report;

/// <summary>Lays cells out in columns of plain text: words to the left, numbers to the right, two spaces between.</summary>
internal static class TextTable
{
    private const string Gap = "  ";

    /// <summary>The lines of a table, without spaces at their ends.</summary>
    /// <param name="head">The columns' names; those of numbers begin with <c>&gt;</c>.</param>
    /// <param name="rows">As many cells a row.</param>
    public static IReadOnlyList<string> Lines(IReadOnlyList<string> head, IReadOnlyList<IReadOnlyList<string>> rows)
    {
        bool[] isNumber = [.. head.Select(name => name.StartsWith('>'))];
        List<IReadOnlyList<string>> all = [[.. head.Select(name => name.TrimStart('>'))], .. rows];
        int[] widths = [.. head.Select((_, column) => all.Max(row => row[column].Length))];
        return [.. all.Select(row => string.Join(Gap, row.Select((cell, column) => isNumber[column] ? cell.PadLeft(widths[column]) : cell.PadRight(widths[column]))).TrimEnd())];
    }
}
