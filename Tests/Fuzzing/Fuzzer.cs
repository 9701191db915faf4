using System.Diagnostics;
using System.Text;

namespace PipelineDsl.Fuzzing;

/// <summary>Hands broken texts to a reader and watches what it does to the process.</summary>
internal static class Fuzzer
{
    /// <summary>The most that reading one text may allocate.</summary>
    public const long MaxAllocation = 50L << 20;

    private static readonly TimeSpan Hang = TimeSpan.FromSeconds(20);
    private const int MaxFindings = 10;

    /// <summary>Reads many texts, one after the other.</summary>
    /// <param name="cases">How many.</param>
    /// <param name="next">Makes the next text.</param>
    /// <param name="read">Reads it: true when it is right, false when it is refused as it should be; anything thrown is a finding.</param>
    /// <returns>What happened; at a text that takes longer than it ever may, the rest is left out.</returns>
    public static FuzzingResult Run(int cases, Func<byte[]> next, Func<byte[], bool> read)
    {
        var result = new FuzzingResult();
        byte[] current = [];
        long beganAt = Environment.TickCount64;
        var worker = new Thread(() =>
        {
            for (int number = 0; number < cases && result.Findings.Count < MaxFindings; number++)
            {
                byte[] text = next();
                Volatile.Write(ref current, text);
                Volatile.Write(ref beganAt, Environment.TickCount64);
                ReadOne(result, text, read);
            }
        })
        { IsBackground = true };
        worker.Start();
        while (!worker.Join(TimeSpan.FromSeconds(1)))
        {
            if (Environment.TickCount64 - Volatile.Read(ref beganAt) > Hang.TotalMilliseconds)
            {
                return new FuzzingResult { Findings = { Finding("takes longer than " + Hang, Volatile.Read(ref current)) } };
            }
        }

        return result;
    }

    private static void ReadOne(FuzzingResult result, byte[] text, Func<byte[], bool> read)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        long started = Stopwatch.GetTimestamp();
        try
        {
            bool right = read(text);
            result.Right += right ? 1 : 0;
            result.Refused += right ? 0 : 1;
        }
        catch (Exception failure)
        {
            result.Findings.Add(Finding(failure.ToString(), text));
        }

        result.Slowest = TimeSpan.FromTicks(Math.Max(result.Slowest.Ticks, Stopwatch.GetElapsedTime(started).Ticks));
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        result.LargestAllocation = Math.Max(result.LargestAllocation, allocated);
        if (allocated > MaxAllocation)
        {
            result.Findings.Add(Finding($"allocates {allocated} bytes", text));
        }
    }

    private static string Finding(string what, byte[] text) => $"{what}\nwhen it reads ({text.Length} bytes, base64 {Convert.ToBase64String(text)[..Math.Min(20_000, (text.Length + 2) / 3 * 4)]}):\n{Encoding.UTF8.GetString(text)[..Math.Min(2000, Encoding.UTF8.GetString(text).Length)]}";
}

/// <summary>What reading broken texts came to.</summary>
internal sealed class FuzzingResult
{
    /// <summary>Texts that were right after all.</summary>
    public long Right { get; set; }

    /// <summary>Texts that were refused with a code.</summary>
    public long Refused { get; set; }

    /// <summary>The longest time that one text took.</summary>
    public TimeSpan Slowest { get; set; }

    /// <summary>The most bytes that reading one text allocated, whether or not they were freed meanwhile.</summary>
    public long LargestAllocation { get; set; }

    /// <summary>What must not be, with the text that shows it.</summary>
    public List<string> Findings { get; } = [];
}
