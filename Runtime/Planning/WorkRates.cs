using System.Globalization;

namespace PipelineDsl.Runtime.Planning;

/// <summary>How fast this machine did each kind of work in earlier runs, as their journal tells; a guess where it tells nothing.</summary>
/// <remarks>A rate is all operations of a kind by all its seconds, over the latest entries, so that what a kind costs beside its operations is in it.</remarks>
public sealed class WorkRates
{
    private const string EntryStart = "work ";

    /// <summary>Entries of a kind that count: an old machine, or an old version, is forgotten.</summary>
    private const int Latest = 256;

    /// <summary>Operations a second where nothing was measured: one core that works in double precision.</summary>
    private const double GuessOnCpu = 2e9;

    /// <summary>The same where a model runs on a GPU.</summary>
    private const double GuessOnGpu = 2e12;

    private readonly Dictionary<(string Device, string Kind), (double Operations, double Seconds)> measured;

    private WorkRates(Dictionary<(string, string), (double, double)> measured) => this.measured = measured;

    /// <summary>Rates of a machine that has done nothing yet.</summary>
    public static WorkRates None { get; } = new([]);

    /// <summary>Reads the journal of earlier runs; lines of other kinds are passed over, and so is a journal that is not there.</summary>
    public static WorkRates Read(string journal)
    {
        try
        {
            return Of(File.ReadLines(journal));
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // Nothing was run yet, or another build writes: a guess does.
            return None;
        }
    }

    /// <summary>Reads the entries of a journal.</summary>
    public static WorkRates Of(IEnumerable<string> journal) => new(journal
        .Where(line => line.StartsWith(EntryStart, StringComparison.Ordinal))
        .Select(line => line.Split(' '))
        .Select(words => words is [_, var device, var kind, var operations, var seconds]
            && double.TryParse(operations, NumberStyles.Float, CultureInfo.InvariantCulture, out double count) && double.TryParse(seconds, NumberStyles.Float, CultureInfo.InvariantCulture, out double time)
            && count > 0 && time > 0 ? (Device: device, Kind: kind, Operations: count, Seconds: time) : default)
        .Where(entry => entry.Seconds > 0)
        .GroupBy(entry => (entry.Device, entry.Kind))
        .ToDictionary(kind => kind.Key, kind => (kind.TakeLast(Latest).Sum(entry => entry.Operations), kind.TakeLast(Latest).Sum(entry => entry.Seconds))));

    /// <summary>Whether a kind of work was measured.</summary>
    internal bool IsMeasured(Work work, string device) => measured.ContainsKey((device, work.Kind));

    /// <summary>How long some work takes, in seconds.</summary>
    internal double Seconds(Work work, string device)
    {
        var (operations, seconds) = measured.GetValueOrDefault((device, work.Kind), (device == "cuda" ? GuessOnGpu : GuessOnCpu, 1));
        return work.Operations / operations * seconds;
    }

    /// <summary>The journal's entry about work that was done.</summary>
    internal static string Entry(Work work, string device, double seconds) =>
        string.Create(CultureInfo.InvariantCulture, $"{EntryStart}{device} {work.Kind} {work.Operations:0} {seconds:0.######}");
}
