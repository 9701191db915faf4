using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Statistics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>A layer's statistics as a file of the cache.</summary>
internal static class StatisticsFile
{
    private const string Access = "access";
    private const string Count = "count";
    private const string Covariance = "covariance.";
    private const string FisherCount = "fisher.count";
    private const string FisherRows = "fisher.rows";
    private const string FisherColumns = "fisher.columns";
    private const string FisherDiagonal = "fisher.diagonal";
    private const string Gram = "gram";
    private const string InputSum = "sum";
    private const string Norms = "norms";
    private const string Samples = "samples";
    private const string MeanMagnitudes = "magnitudes.mean";
    private const string LargestMagnitudes = "magnitudes.largest";

    /// <summary>Writes statistics to a safetensors file.</summary>
    public static void Write(string path, LayerStatistics statistics)
    {
        using var scope = NewDisposeScope();
        var tensors = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        if (statistics.InputMoments is { } moments)
        {
            tensors.Add(Count, tensor([moments.Count]));
            tensors.Add(InputSum, moments.Sum);
            tensors.Add(Gram, moments.Gram);
        }

        if (statistics.InputMagnitudes is { } magnitudes)
        {
            tensors.Add(MeanMagnitudes, magnitudes.Means);
            tensors.Add(LargestMagnitudes, magnitudes.Largest);
        }

        foreach (var (kind, covariance) in statistics.Covariances)
        {
            tensors.Add(Covariance + kind, covariance);
        }

        if (statistics.InputNorms is { } norms)
        {
            tensors.Add(Norms, norms);
        }

        if (statistics.InputSamples is { } samples)
        {
            tensors.Add(Samples, samples);
        }

        if (statistics.Fisher is { } fisher)
        {
            tensors.Add(FisherCount, tensor([fisher.Count]));
            tensors.Add(FisherRows, fisher.Rows);
            tensors.Add(FisherColumns, fisher.Columns);
        }

        if (statistics.FisherDiagonal is { } diagonal)
        {
            tensors.Add(FisherDiagonal, diagonal);
        }

        if (statistics.AccessCounts is { } counts)
        {
            tensors.Add(Access, counts);
        }

        SafetensorsWriter.Write(path, tensors);
    }

    /// <summary>Reads statistics; the tensors belong to the current dispose scope.</summary>
    public static LayerStatistics Read(string path)
    {
        using var file = SafetensorsFile.Open(path);
        return new LayerStatistics
        {
            InputMoments = file.Contains(Gram) ? new(file.Read(Count)[0].item<long>(), file.Read(InputSum), file.Read(Gram)) : null,
            InputMagnitudes = file.Contains(MeanMagnitudes) ? new(file.Read(MeanMagnitudes), file.Read(LargestMagnitudes)) : null,
            Covariances = file.Names.Where(name => name.StartsWith(Covariance, StringComparison.Ordinal))
                .ToDictionary(name => Enum.Parse<StatisticKinds>(name[Covariance.Length..]), name => file.Read(name)),
            InputNorms = file.Contains(Norms) ? file.Read(Norms) : null,
            InputSamples = file.Contains(Samples) ? file.Read(Samples) : null,
            Fisher = file.Contains(FisherRows) ? new(file.Read(FisherCount)[0].item<long>(), file.Read(FisherRows), file.Read(FisherColumns)) : null,
            FisherDiagonal = file.Contains(FisherDiagonal) ? file.Read(FisherDiagonal) : null,
            AccessCounts = file.Contains(Access) ? file.Read(Access) : null,
        };
    }
}
