using PipelineDsl.Runtime.Data;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>Calibration batches cut into samples, which are the rows, and put together again in another number.</summary>
internal static class SampleBatches
{
    /// <summary>Batches of so many consecutive samples; fewer at the end, and where the next sample has another shape. Disposes what it is given; the caller owns the result.</summary>
    public static IEnumerable<Batch> Of(IEnumerable<Batch> batches, int size)
    {
        var pending = new List<Batch>();
        foreach (var batch in batches)
        {
            using (batch)
            {
                for (long i = 0; i < batch.Input.shape[0]; i++)
                {
                    if (pending.Count == size || (pending.Count > 0 && !Fit(pending[0], batch)))
                    {
                        yield return Join(pending);
                    }

                    pending.Add(Row(batch, i));
                }
            }
        }

        if (pending.Count > 0)
        {
            yield return Join(pending);
        }
    }

    private static Batch Row(Batch batch, long index) => new(
        batch.Input.narrow(0, index, 1).DetachFromDisposeScope(), batch.Target?.narrow(0, index, 1).DetachFromDisposeScope());

    private static bool Fit(Batch row, Batch batch) => Same(row.Input, batch.Input) && Same(row.Target, batch.Target);

    private static bool Same(Tensor? row, Tensor? batch) => row is null ? batch is null
        : batch is not null && row.dtype == batch.dtype && row.shape.AsSpan(1).SequenceEqual(batch.shape.AsSpan(1));

    private static Batch Join(List<Batch> rows)
    {
        var joined = new Batch(
            cat([.. rows.Select(row => row.Input)]).DetachFromDisposeScope(),
            rows[0].Target is null ? null : cat([.. rows.Select(row => row.Target!)]).DetachFromDisposeScope());
        rows.ForEach(row => row.Dispose());
        rows.Clear();
        return joined;
    }
}
