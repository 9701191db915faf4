using System.Runtime.InteropServices;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>Codes of 1 to 16 bits in a row of bytes: low bits first, the last byte padded with zeros, negative codes in two's complement.</summary>
internal static class BitPacking
{
    public static long RowBytes(long codes, int bits) => (codes * bits + 7) / 8;

    /// <summary>Packs a matrix, each row by itself.</summary>
    /// <param name="codes">[rows, columns] int16.</param>
    /// <param name="bits">Bits a code.</param>
    /// <returns>[rows, row bytes] uint8; the caller owns it.</returns>
    public static Tensor PackRows(Tensor codes, int bits)
    {
        var (rows, columns, rowBytes) = (codes.shape[0], (int)codes.shape[1], (int)RowBytes(codes.shape[1], bits));
        var packed = empty(rows, rowBytes, dtype: uint8);
        foreach (var (first, count) in RowBlocks.Of(rows, columns))
        {
            using var scope = NewDisposeScope();
            var from = MemoryMarshal.Cast<byte, short>(codes.narrow(0, first, count).contiguous().bytes);
            var to = packed.narrow(0, first, count).bytes;
            for (int row = 0; row < count; row++)
            {
                Pack(from.Slice(row * columns, columns), to.Slice(row * rowBytes, rowBytes), bits);
            }
        }

        return packed;
    }

    /// <summary>Unpacks a matrix.</summary>
    /// <param name="packed">[rows, row bytes] uint8.</param>
    /// <param name="columns">Codes a row.</param>
    /// <param name="bits">Bits a code.</param>
    /// <param name="signed">Whether codes are in two's complement.</param>
    /// <returns>[rows, columns] int16; the caller owns it.</returns>
    public static Tensor UnpackRows(Tensor packed, long columns, int bits, bool signed)
    {
        var (rows, rowBytes) = (packed.shape[0], (int)packed.shape[1]);
        var codes = empty(rows, columns, dtype: int16);
        foreach (var (first, count) in RowBlocks.Of(rows, columns))
        {
            using var scope = NewDisposeScope();
            var from = packed.narrow(0, first, count).bytes;
            var to = MemoryMarshal.Cast<byte, short>(codes.narrow(0, first, count).bytes);
            for (int row = 0; row < count; row++)
            {
                Unpack(from.Slice(row * rowBytes, rowBytes), to.Slice(row * (int)columns, (int)columns), bits, signed);
            }
        }

        return codes;
    }

    public static void Pack(ReadOnlySpan<short> codes, Span<byte> packed, int bits)
    {
        if (bits == 4)
        {
            PackNibbles(codes, packed);
            return;
        }

        uint mask = (1u << bits) - 1;
        uint buffer = 0;
        int held = 0;
        int next = 0;
        foreach (short code in codes)
        {
            buffer |= ((uint)code & mask) << held;
            held += bits;
            while (held >= 8)
            {
                packed[next++] = (byte)buffer;
                buffer >>= 8;
                held -= 8;
            }
        }

        if (held > 0)
        {
            packed[next] = (byte)buffer;
        }
    }

    private static void PackNibbles(ReadOnlySpan<short> codes, Span<byte> packed)
    {
        for (int i = 0; i < codes.Length / 2; i++)
        {
            packed[i] = (byte)((codes[2 * i] & 15) | (codes[(2 * i) + 1] << 4));
        }

        if (codes.Length % 2 == 1)
        {
            packed[codes.Length / 2] = (byte)(codes[^1] & 15);
        }
    }

    public static void Unpack(ReadOnlySpan<byte> packed, Span<short> codes, int bits, bool signed)
    {
        uint mask = (1u << bits) - 1;
        int sign = signed ? 1 << (bits - 1) : 0;
        uint buffer = 0;
        int held = 0;
        int next = 0;
        for (int i = 0; i < codes.Length; i++)
        {
            while (held < bits)
            {
                buffer |= (uint)packed[next++] << held;
                held += 8;
            }

            codes[i] = (short)(((int)(buffer & mask) ^ sign) - sign);
            buffer >>= bits;
            held -= bits;
        }
    }
}
