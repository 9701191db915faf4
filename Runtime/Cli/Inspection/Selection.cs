using PipelineDsl.Diagnostics;

namespace PipelineDsl.Cli.Inspection;

/// <summary>Which tensors are shown, and how closely they are looked at.</summary>
/// <param name="path">What is looked into, for messages.</param>
/// <param name="filter">Chooses by name; null for all.</param>
/// <param name="statistics">Whether all values are read.</param>
/// <param name="terminal">Where progress is drawn.</param>
/// <param name="cancellation">Breaks it off.</param>
internal sealed class Selection(string path, string? filter, bool statistics, Terminal terminal, CancellationToken cancellation)
{
    /// <summary>Fills a buffer with a part of a tensor's bytes.</summary>
    internal delegate void Reader(string name, long offset, Span<byte> destination);

    /// <summary>The chosen ones of several names.</summary>
    /// <exception cref="PipelineException">PDSL1012: the filter chooses none.</exception>
    public IReadOnlyList<T> Named<T>(IReadOnlyList<T> all, Func<T, string> name, string what)
    {
        if (filter is null)
        {
            return all;
        }

        var pattern = new NameFilter(filter);
        T[] chosen = [.. all.Where(item => pattern.Matches(name(item)))];
        return chosen.Length > 0 || all.Count == 0
            ? chosen
            : throw new PipelineException(DiagnosticIds.PatternMatchesNothing, $"'{filter}' matches none of the {all.Count} {what}; the first is '{name(all[0])}'", path);
    }

    /// <summary>The chosen tensors, with what their values are like where that is asked for.</summary>
    public IReadOnlyList<InspectedTensor> Of(IReadOnlyList<InspectedTensor> all, Reader read)
    {
        var chosen = Named(all, tensor => tensor.Name, "tensors");
        if (!statistics)
        {
            return chosen;
        }

        long total = chosen.Where(tensor => TensorStatistics.CanRead(tensor.Dtype)).Sum(tensor => tensor.Bytes);
        return terminal.Track("reading values", total, progress => (IReadOnlyList<InspectedTensor>)[.. chosen.Select(tensor => !TensorStatistics.CanRead(tensor.Dtype) ? tensor
            : tensor with { Statistics = TensorStatistics.Of(tensor.Dtype, tensor.Bytes, (offset, piece) => read(tensor.Name, offset, piece), progress, cancellation) })]);
    }
}
