namespace PipelineDsl.Fuzzing;

/// <summary>Breaks texts in the ways that hands, editors, networks and attackers break them; the same seed breaks them the same way.</summary>
/// <param name="seeds">What is broken; pieces of one are grafted into another.</param>
/// <param name="words">Pieces that the format gives a meaning to.</param>
/// <param name="seed">The seed.</param>
internal sealed class Mutations(IReadOnlyList<byte[]> seeds, IReadOnlyList<byte[]> words, int seed)
{
    private const int MaxBytes = 300_000;
    private const int MaxRepeats = 12;

    private readonly Random random = new(seed);

    /// <summary>The next broken text.</summary>
    public byte[] Next()
    {
        byte[] text = Any(seeds);
        for (int left = 1 + random.Next(6); left > 0; left--)
        {
            text = Mutate(text);
        }

        return text.Length <= MaxBytes ? text : text[..MaxBytes];
    }

    private byte[] Mutate(byte[] text)
    {
        int from = random.Next(text.Length + 1);
        int to = Math.Min(text.Length, from + Length());
        return random.Next(9) switch
        {
            0 => [.. text[..from], .. text[to..]],
            1 => text[..from],
            2 => [.. text[..from], .. Any(words), .. text[from..]],
            3 => [.. text[..from], .. Any(words), .. text[to..]],
            4 => Flipped(text, from),
            5 => Repeated(text, from, to),
            6 => Grafted(text, from),
            7 => [.. text[..from], (byte)random.Next(256), .. text[from..]],
            _ => Number(text),
        };
    }

    private int Length() => 1 << random.Next(8);

    private byte[] Any(IReadOnlyList<byte[]> among) => among[random.Next(among.Count)];

    private byte[] Flipped(byte[] text, int at)
    {
        byte[] copy = [.. text];
        if (at < copy.Length)
        {
            copy[at] ^= (byte)(1 << random.Next(8));
        }

        return copy;
    }

    private byte[] Repeated(byte[] text, int from, int to)
    {
        byte[] piece = text[from..to];
        var all = new List<byte>(text[..to]);
        for (int left = 1 << random.Next(MaxRepeats); left > 0 && all.Count < MaxBytes; left--)
        {
            all.AddRange(piece);
        }

        return [.. all, .. text[to..]];
    }

    private byte[] Grafted(byte[] text, int at)
    {
        byte[] other = Any(seeds);
        int from = random.Next(other.Length + 1);
        return [.. text[..at], .. other[from..Math.Min(other.Length, from + Length())], .. text[at..]];
    }

    /// <summary>Another number in the place of one that is there: small ones, limits, and what lies beyond them.</summary>
    private byte[] Number(byte[] text)
    {
        int from = Array.FindIndex(text, random.Next(text.Length + 1), IsDigit);
        if (from < 0)
        {
            return text;
        }

        int to = from;
        while (to < text.Length && IsDigit(text[to]))
        {
            to++;
        }

        string[] numbers = ["0", "1", "-1", "00", "7", "4096", "2147483647", "2147483648", "9223372036854775807", "9223372036854775808", "18446744073709551615", "1e9", "1e999", "0.5", "-0", new string('9', 400)];
        return [.. text[..from], .. System.Text.Encoding.ASCII.GetBytes(numbers[random.Next(numbers.Length)]), .. text[to..]];
    }

    private static bool IsDigit(byte character) => char.IsAsciiDigit((char)character);
}
