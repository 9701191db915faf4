using System.Runtime.InteropServices;
using PipelineDsl.Runtime.Numerics;

namespace PipelineDsl.Cli.Inspection;

/// <summary>What the values of a tensor are like. Least, greatest and mean are of the finite ones, and null when there are none.</summary>
/// <param name="Min">The least.</param>
/// <param name="Max">The greatest.</param>
/// <param name="Mean">The mean, summed in float64.</param>
/// <param name="NaNs">How many are no numbers.</param>
/// <param name="Infinities">How many are infinite.</param>
internal sealed record TensorStatistics(double? Min, double? Max, double? Mean, long NaNs, long Infinities)
{
    private const int PieceBytes = 1 << 20;

    private delegate double Decoder<T>(T value);

    /// <summary>Whether values of a type can be looked at: plain numbers, not blocks or fractions of a byte.</summary>
    public static bool CanRead(string type) => type is "F64" or "F32" or "F16" or "BF16" or "F8_E4M3" or "F8_E5M2" or "I64" or "I32" or "I16" or "I8" or "U64" or "U32" or "U16" or "U8" or "BOOL";

    /// <summary>Looks at all values of a tensor, a piece at a time, without the tensor library.</summary>
    /// <param name="type">A type that can be read.</param>
    /// <param name="bytes">The tensor's size.</param>
    /// <param name="read">Fills a buffer from an offset.</param>
    /// <param name="progress">Gets how many bytes are newly done.</param>
    /// <param name="cancellation">Breaks it off.</param>
    public static TensorStatistics Of(string type, long bytes, ReadPiece read, Action<long> progress, CancellationToken cancellation)
    {
        var total = new Running();
        byte[] buffer = new byte[(int)Math.Min(PieceBytes, bytes)];
        for (long done = 0; done < bytes; done += PieceBytes)
        {
            cancellation.ThrowIfCancellationRequested();
            var piece = buffer.AsSpan(0, (int)Math.Min(PieceBytes, bytes - done));
            read(done, piece);
            total.Add(type, piece);
            progress(piece.Length);
        }

        return total.Count == 0 ? new(null, null, null, total.NaNs, total.Infinities) : new(total.Min, total.Max, total.Sum / total.Count, total.NaNs, total.Infinities);
    }

    /// <summary>Fills a buffer from an offset into a tensor's bytes.</summary>
    internal delegate void ReadPiece(long offset, Span<byte> destination);

    private sealed class Running
    {
        private static readonly float[] E4M3 = MiniFloat.E4M3.Levels;

        public double Min { get; private set; } = double.PositiveInfinity;

        public double Max { get; private set; } = double.NegativeInfinity;

        public double Sum { get; private set; }

        public long Count { get; private set; }

        public long NaNs { get; private set; }

        public long Infinities { get; private set; }

        public void Add(string type, ReadOnlySpan<byte> piece)
        {
            switch (type)
            {
                case "F64": Add<double>(piece, value => value); break;
                case "F32": Add<float>(piece, value => value); break;
                case "F16": Add<Half>(piece, value => (double)value); break;
                case "BF16": Add<ushort>(piece, value => BitConverter.UInt32BitsToSingle((uint)value << 16)); break;
                case "F8_E4M3": Add<byte>(piece, value => E4M3[value]); break;
                case "F8_E5M2": Add<byte>(piece, value => (double)BitConverter.UInt16BitsToHalf((ushort)(value << 8))); break;
                case "I64": Add<long>(piece, value => value); break;
                case "I32": Add<int>(piece, value => value); break;
                case "I16": Add<short>(piece, value => value); break;
                case "I8": Add<sbyte>(piece, value => value); break;
                case "U64": Add<ulong>(piece, value => value); break;
                case "U32": Add<uint>(piece, value => value); break;
                case "U16": Add<ushort>(piece, value => value); break;
                case "U8" or "BOOL": Add<byte>(piece, value => value); break;
                default: throw new ArgumentException($"values of type {type} cannot be read", nameof(type));
            }
        }

        private void Add<T>(ReadOnlySpan<byte> piece, Decoder<T> decode)
            where T : unmanaged
        {
            double least = Min, greatest = Max, sum = 0;
            long finite = 0;
            foreach (var element in MemoryMarshal.Cast<byte, T>(piece))
            {
                double value = decode(element);
                if (double.IsFinite(value))
                {
                    least = Math.Min(least, value);
                    greatest = Math.Max(greatest, value);
                    sum += value;
                    finite++;
                }
                else if (double.IsNaN(value))
                {
                    NaNs++;
                }
                else
                {
                    Infinities++;
                }
            }

            (Min, Max) = (least, greatest);
            Sum += sum;
            Count += finite;
        }
    }
}
