using System.Globalization;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>One table of codewords for each dense matrix of a weight, tuned on the layer's outputs in closed form or trained with its block (VQ4DiT, arXiv:2408.17131).</summary>
/// <remarks>
/// Facts: <c>relativeError</c>, and <c>relativeErrorNearest</c> of rounding to nearest with one grid of as many bits a row (rounded up to whole bits from 2 to 8); <c>bitsPerWeight</c>, tables included;
/// <c>codewords</c> of the largest table; <c>kMeansLoss</c>, the mean squared error of values after k-means. With <c>tune: layer</c> also <c>weightedError</c>, the squared error of the layer's outputs as
/// a share of their energy, and the same after k-means (<c>weightedErrorKMeans</c>) and of rounding to nearest (<c>weightedErrorNearest</c>), and <c>loss00</c>, <c>loss01</c>, …, <c>lossStored</c>: the mean
/// squared error of the outputs at the start, after each half of each round, and of what is stored, summed over the matrices of a weight. With training, those of <see cref="Vq4DitWeight"/>.
/// Working memory is about three times the weight for 4 values a codeword, and 16 (k d)² bytes more with <c>tune: layer</c>.
/// </remarks>
public sealed class Vq4DitSolver : ReconstructingSolver<Vq4Dit>
{
    /// <summary>Gaussian rows for each column of a matrix, where they stand for its inputs.</summary>
    private const int NoiseRowsAColumn = 4;

    /// <inheritdoc/>
    public override int Version => 1;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, Vq4Dit step)
    {
        using var scope = NewDisposeScope();
        var notes = new List<string>();
        var facts = new Dictionary<string, double>();
        var starts = new Dictionary<Dense, Codebook>();
        var means = problem.Weight.RewriteDense(dense => starts[dense] = KMeans(dense, step, problem.Seed, facts, notes));
        var weight = means;
        Tensor? gram = null;
        if (step.Tune == CodebookTuning.Layer)
        {
            gram = Gram(problem, step, notes);
            var traces = new List<IReadOnlyList<double>>();
            weight = InputAware.Rewrite(problem.Weight, gram, (dense, inputs) => Tune(dense, inputs, starts[dense], step, traces));
            Add(facts, traces);
        }

        Measure(facts, problem.Weight, weight, means, gram, step);
        if (weight != means)
        {
            means.Dispose();
        }

        return new(weight, null, facts, [], [.. notes.Distinct()]);
    }

    /// <inheritdoc/>
    protected override ReconstructionSettings? SettingsOf(Vq4Dit step) => !step.Trains ? null : new()
    {
        Scope = ReconstructionScope.Block,
        Steps = step.Iterations,
        BatchSize = step.BatchSize,
        Schedule = RateSchedule.Constant,
    };

    /// <inheritdoc/>
    protected override TrainableWeight Start(LayerProblem problem, Vq4Dit step, LayerSolution start)
    {
        using var scope = NewDisposeScope();
        var bias = step.TuneBias ? problem.Bias ?? zeros(problem.Shape.Rows) : null;
        return new Vq4DitWeight(problem.Weight, CodebooksOf(start.Weight).Select(codebook => codebook.Tables[0]), bias, Dtypes.Of(step.TableType), step);
    }

    private static Codebook KMeans(Dense dense, Vq4Dit step, long seed, Dictionary<string, double> facts, List<string> notes)
    {
        using var scope = NewDisposeScope();
        if (step.WidthProblem(dense.Columns) is { } problem)
        {
            throw new InvalidOperationException(problem);
        }

        MatrixChecks.RequireFinite(dense.Matrix, "the weight");
        int codewords = step.CodewordsFor(dense.Rows, dense.Columns);
        var (means, _) = VectorQuantization.Lloyd(dense.Matrix, VectorQuantization.Start(dense.Matrix, codewords, step.Width, seed), step.KMeansIterations);
        var table = StoredTables.Of(means.reshape(1, -1), step.TableType, notes).reshape(codewords, step.Width);
        var (codes, loss) = VectorQuantization.Assign(dense.Matrix, table);
        facts["kMeansLoss"] = facts.GetValueOrDefault("kMeansLoss") + loss;
        facts["codewords"] = Math.Max(facts.GetValueOrDefault("codewords"), codewords);
        return Codebook.Pack(codes, table.unsqueeze(0));
    }

    private static Codebook Tune(Dense dense, Tensor gram, Codebook start, Vq4Dit step, List<IReadOnlyList<double>> traces)
    {
        using var scope = NewDisposeScope();
        var tuning = new LayerCodebook(dense.Matrix, gram.contiguous(), step);
        var type = Dtypes.Of(step.TableType);
        var (table, codes, loss) = tuning.Tune(start.Tables[0], start.Indices().to(int16), type);
        traces.Add([.. tuning.Trace, loss]);
        return Codebook.Pack(codes, table.to(type).unsqueeze(0));
    }

    /// <summary>Mean of x xᵀ over the inputs [n, n] float64.</summary>
    private static Tensor Gram(LayerProblem problem, Vq4Dit step, List<string> notes)
    {
        long columns = problem.Weight.Columns;
        if (step.Inputs == CodebookInputs.Noise)
        {
            using var generator = new Generator((ulong)problem.Seed);
            using var sums = new InputAccumulator(columns);
            foreach (var (_, count) in RowBlocks.Of(NoiseRowsAColumn * columns, columns))
            {
                using var rows = randn(count, columns, generator: generator);
                sums.Add(rows);
            }

            return sums.Gram / sums.Count;
        }

        var moments = problem.Statistics.InputMoments ?? throw new InvalidOperationException("no input moments were collected for the layer");
        if (moments.Gram.diagonal().max().item<double>() > 0)
        {
            return moments.Gram / moments.Count;
        }

        notes.Add("the calibration inputs are all zero, so all errors count alike");
        return eye(columns, dtype: float64);
    }

    private static void Add(Dictionary<string, double> facts, List<IReadOnlyList<double>> traces)
    {
        facts["lossStored"] = traces.Sum(trace => trace[^1]);
        for (int i = 0; i < traces.Select(trace => trace.Count).DefaultIfEmpty(1).Max() - 1; i++)
        {
            // A matrix that came to its end earlier stays where it was.
            facts[string.Create(CultureInfo.InvariantCulture, $"loss{i:00}")] = traces.Sum(trace => trace[Math.Min(i, trace.Count - 2)]);
        }
    }

    private static void Measure(Dictionary<string, double> facts, Expression exact, Expression weight, Expression means, Tensor? gram, Vq4Dit step)
    {
        using var scope = NewDisposeScope();
        var original = exact is Dense dense ? dense.Matrix.alias() : exact.Materialize();
        double energy = gram is null ? 0 : WeightedError.Energy(original, null, gram);
        using (var stored = weight.Materialize())
        {
            facts["relativeError"] = MatrixChecks.RelativeError(original, stored);
            AddWeighted("weightedError", stored);
        }

        using (var start = means.Materialize())
        {
            AddWeighted("weightedErrorKMeans", start);
        }

        double bits = Math.Log2(step.Codewords) / step.Width;
        using var rounded = exact.RewriteDense(part => RoundToNearest.StoreRows(part.Matrix, (int)Math.Clamp(Math.Ceiling(bits), 2, 8)));
        using var nearest = rounded.Materialize();
        facts["relativeErrorNearest"] = MatrixChecks.RelativeError(original, nearest);
        AddWeighted("weightedErrorNearest", nearest);
        facts["bitsPerWeight"] = 8.0 * weight.Bytes / (weight.Rows * weight.Columns);

        void AddWeighted(string name, Tensor approximation)
        {
            if (gram is not null)
            {
                double error = WeightedError.Energy(original, approximation, gram);
                facts[name] = error == 0 ? 0 : error / energy;
            }
        }
    }

    /// <summary>In the order in which dense matrices are rewritten.</summary>
    private static IEnumerable<Codebook> CodebooksOf(Expression weight) => weight is Codebook codebook ? [codebook] : weight.Parts.SelectMany(CodebooksOf);
}
