namespace PipelineDsl.Runtime.Numerics;

/// <summary>SplitMix64: numbers that are the same on every machine.</summary>
internal static class SplitMix
{
    /// <summary>The number at a place of a seed's sequence.</summary>
    public static ulong Number(ulong seed, long place)
    {
        ulong mixed = unchecked(seed + ((ulong)place + 1) * 0x9E3779B97F4A7C15);
        mixed = unchecked((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9);
        mixed = unchecked((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB);
        return mixed ^ (mixed >> 31);
    }

    /// <summary>A random order of places (Fisher and Yates).</summary>
    /// <param name="count">How many.</param>
    /// <param name="seed">Decides the order.</param>
    public static int[] Order(int count, ulong seed)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        for (int left = count; left > 1; left--)
        {
            // The upper half of a product instead of a remainder: every place is as likely as the others to 1 in 2³².
            int other = (int)((UInt128)Number(seed, left) * (ulong)left >> 64);
            (order[left - 1], order[other]) = (order[other], order[left - 1]);
        }

        return order;
    }
}
