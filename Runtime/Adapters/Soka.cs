using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>Trains the principal Kronecker products of a linear layer's weight and freezes the rest (SoKA, arXiv:2506.15251). How many there are follows from the spectrum.</summary>
/// <remarks>Defaults that the paper does not give are ours: factors nearest to square, 0.9 of the energy, the chord's elbow, the smaller of both ranks.</remarks>
public sealed record Soka : AdapterMethod
{
    /// <summary>m₁, a divisor of the outputs; 0 takes the divisor nearest to their root.</summary>
    public int LeftRows { get; init; }

    /// <summary>n₁, a divisor of the inputs; 0 takes the divisor nearest to their root.</summary>
    public int LeftColumns { get; init; }

    /// <summary>The share of the squared singular values to keep.</summary>
    public double EnergyThreshold { get; init; } = 0.9;

    /// <summary>How the spectrum's elbow is found.</summary>
    public ElbowRule Elbow { get; init; }

    /// <summary>Whether the larger of both ranks is taken.</summary>
    public bool TakeLarger { get; init; }

    /// <summary>The fewest terms.</summary>
    public int MinRank { get; init; } = 1;

    /// <summary>The most terms.</summary>
    public int MaxRank { get; init; } = int.MaxValue;

    /// <summary>What multiplies the terms; their start is divided by it.</summary>
    public double Scaling { get; init; } = 1;

    /// <summary>The number of terms that a spectrum gets.</summary>
    /// <param name="values">Singular values of the rearrangement, descending.</param>
    public int RankOf(IReadOnlyList<double> values)
    {
        int energy = SpectrumRank.OfEnergy(values, EnergyThreshold);
        int elbow = Elbow switch
        {
            ElbowRule.Chord => SpectrumRank.OfChord(values),
            ElbowRule.Gap => SpectrumRank.OfGap(values),
            _ => energy,
        };
        int most = Math.Min(MaxRank, values.Count);
        return Math.Clamp(TakeLarger ? Math.Max(energy, elbow) : Math.Min(energy, elbow), Math.Min(MinRank, most), most);
    }

    private protected override Adapter Begin(Tensor weight, LayerOperation operation, Generator generator)
    {
        RequireLinear(operation);
        var (rows, columns) = (weight.shape[0], weight.shape[1]);
        long leftRows = Divisor(LeftRows, rows, "outputs");
        long leftColumns = Divisor(LeftColumns, columns, "inputs");
        var terms = new KroneckerTerms(leftRows, leftColumns, rows / leftRows, columns / leftColumns);
        var (values, left, right) = terms.Decompose(weight.to(float64));
        int rank = RankOf([.. values.data<double>()]);
        var a = left.narrow(0, 0, rank).div(Math.Sqrt(Scaling)).to(TrainedType(weight), copy: true);
        var b = right.narrow(0, 0, rank).div(Math.Sqrt(Scaling)).to(TrainedType(weight), copy: true);
        return new SokaAdapter((Wide(weight) - terms.Sum(a, b).mul(Scaling)).to(weight.dtype), terms, a, b, Scaling);
    }

    private static long Divisor(int wanted, long size, string what)
    {
        if (wanted < 0 || (wanted > 0 && size % wanted != 0))
        {
            throw new ArgumentException($"{wanted} does not divide the {size} {what}");
        }

        if (wanted > 0)
        {
            return wanted;
        }

        double root = Math.Sqrt(size);
        long nearest = Enumerable.Range(1, (int)size).Where(factor => size % factor == 0).MinBy(factor => Math.Abs(factor - root));
        return nearest > 1 && nearest < size
            ? nearest
            : throw new ArgumentException($"the {size} {what} have no divisor, so there are no Kronecker factors; leave the layer out or name one");
    }
}

/// <summary>How the elbow of a spectrum is found.</summary>
public enum ElbowRule
{
    /// <summary>The point farthest below the chord from the first value to the last.</summary>
    Chord,

    /// <summary>Before the largest gap.</summary>
    Gap,

    /// <summary>Not at all: energy decides alone.</summary>
    None,
}
