namespace PipelineDsl.Runtime.Formats.Nunchaku;

/// <summary>A row-major array seen with many axes, whose axes change places.</summary>
/// <param name="shape">The sizes of the axes.</param>
/// <param name="order">Axis i of the result is axis order[i] of the array.</param>
internal sealed class AxisOrder(int[] shape, int[] order)
{
    /// <summary>Values in the new order.</summary>
    public T[] Apply<T>(ReadOnlySpan<T> values)
    {
        var moved = new T[values.Length];
        int next = 0;
        foreach (int from in Sources(values.Length))
        {
            moved[next++] = values[from];
        }

        return moved;
    }

    /// <summary>Values in the old order.</summary>
    public T[] Undo<T>(ReadOnlySpan<T> moved)
    {
        var values = new T[moved.Length];
        int next = 0;
        foreach (int from in Sources(moved.Length))
        {
            values[from] = moved[next++];
        }

        return values;
    }

    /// <summary>Where each value of the result comes from.</summary>
    private int[] Sources(int count)
    {
        if (shape.Aggregate(1, (product, size) => product * size) != count)
        {
            throw new ArgumentException($"{count} values do not fill [{string.Join(", ", shape)}]");
        }

        int[] sources = [0];
        foreach (int axis in order)
        {
            int stride = shape.Skip(axis + 1).Aggregate(1, (product, size) => product * size);
            sources = [.. sources.SelectMany(_ => Enumerable.Range(0, shape[axis]), (start, i) => start + (i * stride))];
        }

        return sources;
    }
}
