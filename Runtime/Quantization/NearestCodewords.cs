using System.Numerics;
using System.Runtime.InteropServices;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Squared Euclidean distances of vectors to the codewords of a table, many codewords at once; of equally near ones the lower index is the nearest.</summary>
/// <typeparam name="T">What is computed in: float or double.</typeparam>
internal sealed class NearestCodewords<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly int count;
    private readonly int width;
    private readonly int padded;

    // One run a place of the codeword; places beyond the last codeword are infinitely far.
    private readonly T[] places;

    /// <summary>Takes a table over.</summary>
    /// <param name="codebook">Codewords one after the other.</param>
    /// <param name="width">Values a codeword.</param>
    public NearestCodewords(ReadOnlySpan<double> codebook, int width)
    {
        this.width = width;
        count = codebook.Length / width;
        padded = (count + Vector<T>.Count - 1) / Vector<T>.Count * Vector<T>.Count;
        places = new T[padded * width];
        Array.Fill(places, T.PositiveInfinity);
        for (int i = 0; i < codebook.Length; i++)
        {
            places[(i % width * padded) + (i / width)] = T.CreateChecked(codebook[i]);
        }
    }

    /// <summary>Codewords, rounded up to what is computed at once.</summary>
    public int Padded => padded;

    /// <summary>The nearest codeword and its squared distance.</summary>
    public (int Code, double Distance) Nearest(ReadOnlySpan<T> vector)
    {
        var least = new Vector<T>(T.PositiveInfinity);
        var group = Vector<T>.Zero;
        for (int first = 0; first < padded; first += Vector<T>.Count)
        {
            var distances = Distances(vector, first);
            var nearer = Vector.LessThan(distances, least);
            least = Vector.ConditionalSelect(nearer, distances, least);
            group = Vector.ConditionalSelect(nearer, new Vector<T>(T.CreateTruncating(first)), group);
        }

        int code = 0;
        var best = T.PositiveInfinity;
        for (int lane = 0; lane < Vector<T>.Count; lane++)
        {
            int candidate = int.CreateTruncating(group[lane]) + lane;
            if (least[lane] < best || (least[lane] == best && candidate < code))
            {
                (code, best) = (candidate, least[lane]);
            }
        }

        return (Math.Min(code, count - 1), double.CreateChecked(best));
    }

    /// <summary>The nearest codewords, ascending in distance.</summary>
    /// <param name="vector">A vector.</param>
    /// <param name="codes">Gets the indices, as many as it is long; no more than there are codewords.</param>
    /// <param name="distances">Gets their squared distances.</param>
    /// <param name="work">Space of <see cref="Padded"/> values.</param>
    public void Nearest(ReadOnlySpan<T> vector, Span<int> codes, Span<T> distances, Span<T> work)
    {
        for (int first = 0; first < padded; first += Vector<T>.Count)
        {
            Distances(vector, first).CopyTo(work[first..]);
        }

        distances.Fill(T.PositiveInfinity);
        int held = 0;
        for (int code = 0; code < count; code++)
        {
            var distance = work[code];
            if (held == codes.Length && distance >= distances[^1])
            {
                continue;
            }

            int place = held < codes.Length ? held++ : codes.Length - 1;
            for (; place > 0 && distances[place - 1] > distance; place--)
            {
                (codes[place], distances[place]) = (codes[place - 1], distances[place - 1]);
            }

            (codes[place], distances[place]) = (code, distance);
        }
    }

    private Vector<T> Distances(ReadOnlySpan<T> vector, int first)
    {
        ref var start = ref MemoryMarshal.GetArrayDataReference(places);
        var sum = Vector<T>.Zero;
        for (int place = 0; place < width; place++)
        {
            var difference = new Vector<T>(vector[place]) - Vector.LoadUnsafe(ref start, (nuint)((place * padded) + first));
            sum += difference * difference;
        }

        return sum;
    }
}
