using System.Globalization;
using System.Text.Json;

namespace PipelineDsl.Benchmarks;

/// <summary>The figures of one benchmark: a table on the console and a JSON file in <c>artifacts/bench</c>.</summary>
/// <param name="name">The benchmark.</param>
/// <param name="columns">The titles.</param>
internal sealed class ResultTable(string name, params string[] columns)
{
    private const int Width = 12;

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    private readonly List<Dictionary<string, object>> rows = [];

    /// <summary>Adds a row and prints it; the titles are printed before the first.</summary>
    public void Add(params object[] cells)
    {
        if (rows.Count == 0)
        {
            Print(columns);
        }

        Print(cells);
        rows.Add(columns.Zip(cells).ToDictionary(pair => pair.First, pair => pair.Second is double number && !double.IsFinite(number) ? number.ToString(CultureInfo.InvariantCulture) : pair.Second));
    }

    /// <summary>Writes the file, in the folder that PIPELINEDSL_BENCH names or the current one.</summary>
    public void Write()
    {
        string folder = Path.GetFullPath(Environment.GetEnvironmentVariable("PIPELINEDSL_BENCH") is { Length: > 0 } chosen ? chosen : ".");
        Directory.CreateDirectory(folder);
        string file = Path.Combine(folder, name + ".json");
        File.WriteAllText(file, JsonSerializer.Serialize(rows, Indented) + "\n");
        Console.WriteLine($"written to {file}");
    }

    private static void Print(object[] cells) => Console.WriteLine(string.Join(" ", cells.Select(cell => Text(cell).PadLeft(Width))));

    private static string Text(object cell) => cell switch
    {
        double number when number == 0 || !double.IsFinite(number) => number.ToString(CultureInfo.InvariantCulture),
        double number when Math.Abs(number) is < 1e-3 or >= 1e6 => number.ToString("0.0E+0", CultureInfo.InvariantCulture),
        double number => number.ToString(Math.Abs(number) < 10 ? "0.000" : "0.0", CultureInfo.InvariantCulture),
        _ => cell.ToString()!,
    };
}
