using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Runtime.Report;

/// <summary>What more or fewer bytes would have cost, and where the build stands.</summary>
internal sealed class TradeOff
{
    /// <summary>What all ranks are multiplied by where no budget was shared out.</summary>
    private static readonly double[] RankScales = [0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4];

    private TradeOff(bool isAllocated, IReadOnlyList<TradeOffPoint> points, TradeOffPoint chosen)
    {
        IsAllocated = isAllocated;
        Points = [.. points.OrderBy(point => point.Bytes).ThenBy(point => point.Loss)];
        Chosen = chosen;
    }

    /// <summary>Whether an allocation foretold the losses; else they are shares of energy that the spectra show.</summary>
    public bool IsAllocated { get; }

    /// <summary>Attainable sizes with what they lose, by bytes.</summary>
    public IReadOnlyList<TradeOffPoint> Points { get; }

    /// <summary>Where the build stands, in the same measure.</summary>
    public TradeOffPoint Chosen { get; }

    /// <summary>The curve of an allocation, else that of the ranks; null where neither is known.</summary>
    public static TradeOff? Of(Manifest manifest, IReadOnlyList<ReportLayer> layers) => Allocated(manifest.Allocation) ?? Ranks(manifest, layers);

    private static TradeOff? Allocated(AllocationRecord? allocation) =>
        allocation is { TradeOff.Count: > 1 } && allocation.Layers.All(layer => layer.Chosen is not null)
            ? new(true, allocation.TradeOff, new(allocation.PlannedBytes, allocation.Layers.Sum(layer => layer.Chosen!.Distortion)))
            : null;

    /// <summary>All ranks scaled by one factor: the mean share of energy given up by the decomposed layers, each by its size, and about the bytes of the whole artifact.</summary>
    private static TradeOff? Ranks(Manifest manifest, IReadOnlyList<ReportLayer> layers)
    {
        DecomposedLayer[] decomposed = [.. layers.Select(DecomposedLayer.Of).OfType<DecomposedLayer>()];
        double weight = decomposed.Sum(layer => layer.Weight);
        if (weight <= 0)
        {
            return null;
        }

        var points = RankScales.Select(At).Distinct().ToList();
        return points.Count > 1 ? new(false, points, At(1)) : null;

        TradeOffPoint At(double scale) => new(
            manifest.Bytes.After + decomposed.Sum(layer => layer.BytesAt(scale) - layer.BytesAt(1)),
            decomposed.Sum(layer => layer.Weight * layer.LossAt(scale)) / weight);
    }

    /// <summary>A layer whose spectrum tells what other ranks would lose.</summary>
    private sealed class DecomposedLayer
    {
        private readonly long bytes;
        private readonly int rank;
        private readonly double[] lost;

        private DecomposedLayer(long bytes, int rank, double weight, double[] lost) => (this.bytes, this.rank, Weight, this.lost) = (bytes, rank, weight, lost);

        public double Weight { get; }

        public static DecomposedLayer? Of(ReportLayer layer)
        {
            if (layer.Rank is not > 0 || !SpectrumChart.IsDrawable(layer) || layer.Rank > layer.Record.Spectrum.Count)
            {
                return null;
            }

            int rank = (int)layer.Rank;
            double[] energies = [.. layer.Record.Spectrum.Select(value => value * value)];

            // A spectrum that was iterated for ends soon after the rank; the solver knows the energy of the rest.
            double whole = layer.Record.Facts.TryGetValue("energyKept", out double kept) && kept > 0 ? Math.Max(energies.Sum(), energies.Take(rank).Sum() / kept) : energies.Sum();
            double[] lost = new double[energies.Length + 1];
            lost[0] = 1;
            double sum = 0;
            for (int i = 0; i < energies.Length; i++)
            {
                sum += energies[i];
                lost[i + 1] = Math.Max(0, 1 - (sum / whole));
            }

            return new(layer.Record.BytesAfter, rank, layer.Record.BytesBefore, lost);
        }

        public long BytesAt(double scale) => (long)Math.Round((double)bytes * RankAt(scale) / rank);

        public double LossAt(double scale) => lost[RankAt(scale)];

        private int RankAt(double scale) => Math.Clamp((int)Math.Round(rank * scale), 1, lost.Length - 1);
    }
}
