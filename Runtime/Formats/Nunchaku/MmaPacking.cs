namespace PipelineDsl.Runtime.Formats.Nunchaku;

/// <summary>The layouts in which the kernels of nunchaku read 4-bit weights, as their published packer writes them: the order of the tensor cores' fragments.</summary>
/// <remarks>Rows are padded to multiples of 128, columns of weights to 128, factors to 16. Pure bytes: codes and scales come from whatever solver.</remarks>
internal static class MmaPacking
{
    private const int Tile = 128;
    private const int Depth = 64;
    private const int FactorTile = 16;
    private const int WordNibbles = 8;

    /// <summary>Packs codes; padding is zero.</summary>
    /// <param name="codes">[rows, columns], the low four bits of each.</param>
    /// <param name="rows">Output features.</param>
    /// <param name="columns">Input features.</param>
    /// <returns>[padded rows, padded columns / 2].</returns>
    public static byte[] PackCodes(ReadOnlySpan<sbyte> codes, int rows, int columns)
    {
        var (height, width) = (Padded(rows, Tile), Padded(columns, Tile));
        var nibbles = CodeOrder(height, width).Apply<sbyte>(Pad(codes, rows, columns, height, width, (sbyte)0));
        byte[] packed = new byte[nibbles.Length / 2];
        for (int i = 0; i < packed.Length; i++)
        {
            packed[i] = (byte)((nibbles[2 * i] & 15) | ((nibbles[(2 * i) + 1] & 15) << 4));
        }

        return packed;
    }

    /// <summary>Unpacks what <see cref="PackCodes"/> gives.</summary>
    /// <param name="packed">The packed codes.</param>
    /// <param name="rows">Output features.</param>
    /// <param name="columns">Input features.</param>
    /// <param name="signed">Whether codes are in two's complement.</param>
    /// <returns>[rows, columns].</returns>
    public static sbyte[] UnpackCodes(ReadOnlySpan<byte> packed, int rows, int columns, bool signed)
    {
        var (height, width) = (Padded(rows, Tile), Padded(columns, Tile));
        sbyte[] nibbles = new sbyte[packed.Length * 2];
        int sign = signed ? 8 : 0;
        for (int i = 0; i < packed.Length; i++)
        {
            nibbles[2 * i] = (sbyte)(((packed[i] & 15) ^ sign) - sign);
            nibbles[(2 * i) + 1] = (sbyte)(((packed[i] >> 4) ^ sign) - sign);
        }

        return Crop<sbyte>(CodeOrder(height, width).Undo<sbyte>(nibbles), width, rows, columns);
    }

    /// <summary>Packs the scales of groups; padding is one.</summary>
    /// <param name="scales">[rows, groups].</param>
    /// <param name="rows">Output features.</param>
    /// <param name="groups">Groups of a row.</param>
    /// <param name="groupSize">Columns of a group; it divides 128 or is a multiple of it.</param>
    /// <param name="one">The number one.</param>
    /// <returns>[padded groups, padded rows].</returns>
    public static T[] PackScales<T>(ReadOnlySpan<T> scales, int rows, int groups, int groupSize, T one)
    {
        var (height, width) = (Padded(rows, Tile), PaddedGroups(groups, groupSize));
        return ScaleOrder(height, width).Apply<T>(Pad(scales, rows, groups, height, width, one));
    }

    /// <summary>Unpacks what <see cref="PackScales"/> gives.</summary>
    public static T[] UnpackScales<T>(ReadOnlySpan<T> packed, int rows, int groups, int groupSize)
    {
        var (height, width) = (Padded(rows, Tile), PaddedGroups(groups, groupSize));
        return Crop<T>(ScaleOrder(height, width).Undo(packed), width, rows, groups);
    }

    /// <summary>Packs the e4m3 scales of groups of 16; padding is one.</summary>
    /// <param name="scales">[rows, groups] e4m3.</param>
    /// <param name="rows">Output features.</param>
    /// <param name="groups">Groups of a row.</param>
    /// <returns>[padded groups, padded rows].</returns>
    public static byte[] PackMicroScales(ReadOnlySpan<byte> scales, int rows, int groups)
    {
        const byte One = 0x38;
        var (height, width) = (Padded(rows, Tile), Padded(groups, Tile / FactorTile));
        return MicroOrder(height, width).Apply<byte>(Pad(scales, rows, groups, height, width, One));
    }

    /// <summary>Unpacks what <see cref="PackMicroScales"/> gives.</summary>
    public static byte[] UnpackMicroScales(ReadOnlySpan<byte> packed, int rows, int groups)
    {
        var (height, width) = (Padded(rows, Tile), Padded(groups, Tile / FactorTile));
        return Crop<byte>(MicroOrder(height, width).Undo(packed), width, rows, groups);
    }

    /// <summary>Packs a factor of the low-rank branch; padding is the default.</summary>
    /// <param name="factor">The upper factor [channels, rank], or the lower one [rank, channels].</param>
    /// <param name="channels">Its long side.</param>
    /// <param name="rank">Its short side.</param>
    /// <param name="lower">Which one it is.</param>
    /// <returns>[padded channels, padded rank].</returns>
    public static T[] PackFactor<T>(ReadOnlySpan<T> factor, int channels, int rank, bool lower)
        where T : struct
    {
        var (length, width) = (Padded(channels, FactorTile), Padded(rank, FactorTile));
        var padded = lower ? Pad(factor, rank, channels, width, length, default) : Pad(factor, channels, rank, length, width, default);
        return FactorOrder(length, width).Apply<T>(TileOrder(length, width, lower).Apply<T>(padded));
    }

    /// <summary>Unpacks what <see cref="PackFactor"/> gives.</summary>
    public static T[] UnpackFactor<T>(ReadOnlySpan<T> packed, int channels, int rank, bool lower)
        where T : struct
    {
        var (length, width) = (Padded(channels, FactorTile), Padded(rank, FactorTile));
        var padded = TileOrder(length, width, lower).Undo<T>(FactorOrder(length, width).Undo(packed));
        return lower ? Crop<T>(padded, length, rank, channels) : Crop<T>(padded, width, channels, rank);
    }

    private static AxisOrder CodeOrder(int rows, int columns) => new([rows / Tile, 8, 2, 8, 1, columns / Depth, 1, 2, 4, WordNibbles], [0, 5, 6, 1, 3, 8, 2, 7, 4, 9]);

    private static AxisOrder ScaleOrder(int rows, int groups) => new([rows / Tile, 1, 8, 2, 4, 2, groups], [0, 6, 1, 2, 4, 3, 5]);

    private static AxisOrder MicroOrder(int rows, int groups) => new([rows / Tile, 1, 4, 4, 8, groups / 4, 4], [0, 5, 1, 4, 3, 2, 6]);

    /// <summary>Tiles of 16 × 16 in the order [channel tile, rank tile]; each keeps the order of its own axes.</summary>
    private static AxisOrder TileOrder(int channels, int rank, bool lower) => lower
        ? new([rank / FactorTile, FactorTile, channels / FactorTile, FactorTile], [2, 0, 1, 3])
        : new([channels / FactorTile, FactorTile, rank / FactorTile, FactorTile], [0, 2, 1, 3]);

    private static AxisOrder FactorOrder(int channels, int rank) => new([channels / FactorTile, rank / FactorTile, 2, 8, 1, 2, 4, 2], [0, 1, 3, 6, 2, 5, 4, 7]);

    private static int Padded(int size, int multiple) => (size + multiple - 1) / multiple * multiple;

    private static int PaddedGroups(int groups, int groupSize) => Padded(groups * groupSize, Tile) / groupSize;

    private static T[] Pad<T>(ReadOnlySpan<T> values, int rows, int columns, int height, int width, T padding)
    {
        var padded = new T[height * width];
        Array.Fill(padded, padding);
        for (int row = 0; row < rows; row++)
        {
            values.Slice(row * columns, columns).CopyTo(padded.AsSpan(row * width));
        }

        return padded;
    }

    private static T[] Crop<T>(ReadOnlySpan<T> padded, int width, int rows, int columns)
    {
        var values = new T[rows * columns];
        for (int row = 0; row < rows; row++)
        {
            padded.Slice(row * width, columns).CopyTo(values.AsSpan(row * columns));
        }

        return values;
    }
}
