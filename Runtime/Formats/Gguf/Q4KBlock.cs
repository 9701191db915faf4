using System.Buffers.Binary;

namespace PipelineDsl.Runtime.Formats.Gguf;

/// <summary>Q4_K: 256 values in 144 bytes, eight sub-blocks of 32, w = d · scale · code − dmin · min with 6-bit scales and mins.</summary>
/// <remarks>Layout: float16 d, float16 dmin, 12 bytes of scales and mins, 128 bytes of codes; each 64 values take 32 bytes, the first 32 in the low nibbles.</remarks>
internal static class Q4KBlock
{
    public const int Elements = 256;
    public const int Bytes = 144;

    private const int SubBlocks = 8;
    private const int Length = Elements / SubBlocks;
    private const int Codes = 16;
    private const int HighestScale = 63;

    /// <summary>Inverse scales that are tried beside the plain one: (nmax − 1 + 0.1 t) / (max − min), t from 0 on.</summary>
    private const int Trials = 21;

    /// <summary>Decodes a block.</summary>
    public static void Decode(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = (float)BinaryPrimitives.ReadHalfLittleEndian(block);
        float dmin = (float)BinaryPrimitives.ReadHalfLittleEndian(block[2..]);
        for (int j = 0; j < SubBlocks; j++)
        {
            var (scale, min) = Scales(block[4..], j);
            float step = d * scale;
            float offset = dmin * min;
            var codes = block.Slice(Codes + j / 2 * Length, Length);
            for (int i = 0; i < Length; i++)
            {
                values[j * Length + i] = step * (j % 2 == 0 ? codes[i] & 0xF : codes[i] >> 4) - offset;
            }
        }
    }

    /// <summary>Encodes a block: a weighted least-squares line through each sub-block, then codes again with the scales as they are stored.</summary>
    public static void Encode(ReadOnlySpan<float> values, Span<byte> block)
    {
        Span<float> scales = stackalloc float[SubBlocks];
        Span<float> mins = stackalloc float[SubBlocks];
        Span<byte> codes = stackalloc byte[Elements];
        for (int j = 0; j < SubBlocks; j++)
        {
            (scales[j], mins[j]) = FitLine(values.Slice(j * Length, Length), codes.Slice(j * Length, Length));
        }

        block.Clear();
        GgmlBlocks.WriteHalf(block, StoreScales(scales, block[4..], isMin: false));
        GgmlBlocks.WriteHalf(block[2..], StoreScales(mins, block[4..], isMin: true));
        Requantize(values, block, codes);
        for (int i = 0; i < Elements; i++)
        {
            block[Codes + i / (2 * Length) * Length + i % Length] |= (byte)(i / Length % 2 == 0 ? codes[i] : codes[i] << 4);
        }
    }

    /// <summary>The 6-bit scale and min of a sub-block; those of the last four are split between low nibbles and the top bits of the first eight bytes.</summary>
    private static (int Scale, int Min) Scales(ReadOnlySpan<byte> packed, int j) => j < 4
        ? (packed[j] & 63, packed[j + 4] & 63)
        : ((packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4, (packed[j + 4] >> 4) | (packed[j] >> 6) << 4);

    /// <summary>Stores scales or mins as multiples of their largest / 63, which it returns.</summary>
    private static float StoreScales(ReadOnlySpan<float> scales, Span<byte> packed, bool isMin)
    {
        float largest = 0;
        foreach (float scale in scales)
        {
            largest = MathF.Max(largest, scale);
        }

        float inverse = largest > 0 ? HighestScale / largest : 0;
        for (int j = 0; j < SubBlocks; j++)
        {
            int code = Math.Clamp((int)MathF.Round(inverse * scales[j]), 0, HighestScale);
            if (j < 4)
            {
                packed[isMin ? j + 4 : j] |= (byte)code;
            }
            else
            {
                packed[j + 4] |= (byte)(isMin ? (code & 15) << 4 : code & 15);
                packed[isMin ? j : j - 4] |= (byte)(code >> 4 << 6);
            }
        }

        return largest / HighestScale;
    }

    /// <summary>Codes for the scales that a reader will find; a sub-block whose scale is stored as zero keeps the codes it has.</summary>
    private static void Requantize(ReadOnlySpan<float> values, ReadOnlySpan<byte> block, Span<byte> codes)
    {
        float d = (float)BinaryPrimitives.ReadHalfLittleEndian(block);
        float dmin = (float)BinaryPrimitives.ReadHalfLittleEndian(block[2..]);
        for (int i = 0; i < Elements; i++)
        {
            var (scale, min) = Scales(block[4..], i / Length);
            float step = d * scale;
            if (step != 0)
            {
                codes[i] = Code((values[i] + dmin * min) / step);
            }
        }
    }

    /// <summary>The scale and negated minimum that minimise Σ weight · (scale · code + min − w)², weight = rms + |w|, over the trial codes; min ≤ 0.</summary>
    private static (float Scale, float Min) FitLine(ReadOnlySpan<float> values, Span<byte> codes)
    {
        Span<float> weights = stackalloc float[Length];
        Weigh(values, weights);
        float low = values[0], high = values[0], sumW = weights[0], sumX = weights[0] * values[0];
        for (int i = 1; i < Length; i++)
        {
            low = MathF.Min(low, values[i]);
            high = MathF.Max(high, values[i]);
            sumW += weights[i];
            sumX += weights[i] * values[i];
        }

        low = MathF.Min(low, 0);
        if (high == low)
        {
            codes.Clear();
            return (0, -low);
        }

        float min = low;
        float inverse = 15 / (high - low);
        float scale = 1 / inverse;
        Round(values, inverse, low, codes);
        float best = Error(values, weights, codes, scale, min);
        Span<byte> trial = stackalloc byte[Length];
        for (int t = 0; t < Trials; t++)
        {
            // Each trial starts from the best minimum so far, not from the smallest value.
            Round(values, (-1 + 0.1f * t + 15) / (high - min), min, trial);
            if (Solve(values, weights, trial, sumW, sumX) is not { } line)
            {
                continue;
            }

            float error = Error(values, weights, trial, line.Scale, line.Min);
            if (error < best)
            {
                trial.CopyTo(codes);
                (best, scale, min) = (error, line.Scale, line.Min);
            }
        }

        return (scale, -min);
    }

    private static void Weigh(ReadOnlySpan<float> values, Span<float> weights)
    {
        float squares = 0;
        foreach (float value in values)
        {
            squares += value * value;
        }

        float rms = MathF.Sqrt(squares / Length);
        for (int i = 0; i < Length; i++)
        {
            weights[i] = rms + MathF.Abs(values[i]);
        }
    }

    private static (float Scale, float Min)? Solve(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, ReadOnlySpan<byte> codes, float sumW, float sumX)
    {
        float sumL = 0, sumLL = 0, sumXL = 0;
        for (int i = 0; i < Length; i++)
        {
            float weighted = weights[i] * codes[i];
            sumL += weighted;
            sumLL += weighted * codes[i];
            sumXL += weighted * values[i];
        }

        float determinant = sumW * sumLL - sumL * sumL;
        if (!(determinant > 0))
        {
            return null;
        }

        float min = (sumLL * sumX - sumL * sumXL) / determinant;
        return min > 0 ? (sumXL / sumLL, 0) : ((sumW * sumXL - sumX * sumL) / determinant, min);
    }

    private static float Error(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, ReadOnlySpan<byte> codes, float scale, float min)
    {
        float sum = 0;
        for (int i = 0; i < Length; i++)
        {
            float difference = scale * codes[i] + min - values[i];
            sum += weights[i] * (difference * difference);
        }

        return sum;
    }

    private static void Round(ReadOnlySpan<float> values, float inverse, float low, Span<byte> codes)
    {
        for (int i = 0; i < Length; i++)
        {
            codes[i] = Code(inverse * (values[i] - low));
        }
    }

    private static byte Code(float position) => (byte)Math.Clamp(MathF.Round(position), 0, 15);
}
