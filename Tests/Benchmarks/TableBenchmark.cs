using System.Diagnostics;
using System.Globalization;
using PipelineDsl.Runtime.Quantization;

using static TorchSharp.torch;

namespace PipelineDsl.Benchmarks;

/// <summary>The exact tables of SqueezeLLM against Lloyd's iteration, in weighted cost and in time.</summary>
/// <remarks>Arguments: rows and columns (256 4096 unless told). Times are for a layer of as many rows as columns, from the rows that were run.</remarks>
internal static class TableBenchmark
{
    public static void Run(string[] arguments)
    {
        long rows = arguments.Length > 0 ? long.Parse(arguments[0], CultureInfo.InvariantCulture) : 256;
        long columns = arguments.Length > 1 ? long.Parse(arguments[1], CultureInfo.InvariantCulture) : 4096;
        var table = new ResultTable("tables", "bits", "lloyd cost", "exact cost", "cost ratio", "lloyd s", "exact s", "time ratio");
        Measure(table, rows, columns);
        table.Write();
    }

    /// <summary>Adds one row a number of bits.</summary>
    public static void Measure(ResultTable table, long rows, long columns)
    {
        set_num_threads(1);
        using var scope = NewDisposeScope();
        var generator = new Generator(1);

        // Heavy tails and Fisher entries over many orders of magnitude, as layers of language models have them.
        var weight = randn(rows, columns, generator: generator) * randn(rows, columns, generator: generator).mul(0.3f).exp() * 0.02f;
        var fisher = randn(rows, columns, generator: generator).mul(2).exp();
        RowTables.Fit(weight.narrow(0, 0, 1), fisher.narrow(0, 0, 1), 8, new SqueezeLlm());
        foreach (int bits in new[] { 2, 3, 4, 8 })
        {
            var (iterated, lloyd) = Fit(weight, fisher, bits, TableSolver.Lloyd);
            var (exact, dynamic) = Fit(weight, fisher, bits, TableSolver.Exact);
            double scale = (double)columns / rows;
            table.Add(bits, iterated, exact, exact / iterated, lloyd * scale, dynamic * scale, dynamic / lloyd);
        }
    }

    private static (double Cost, double Seconds) Fit(Tensor weight, Tensor fisher, int bits, TableSolver solver)
    {
        using var scope = NewDisposeScope();
        var watch = Stopwatch.StartNew();
        var tables = RowTables.Fit(weight, fisher, 1 << bits, new SqueezeLlm { Solver = solver });
        double seconds = watch.Elapsed.TotalSeconds;
        var restored = tables.gather(1, RowTables.Assign(weight, tables).to(int64));
        return ((fisher * (weight - restored).square()).sum().item<double>(), seconds);
    }
}
