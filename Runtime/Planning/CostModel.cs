using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Safetensors;

namespace PipelineDsl.Runtime.Planning;

/// <summary>Counts the operations of a recipe's work, so that its time can be told before it is done.</summary>
/// <remarks>
/// A step on an m × n matrix, with s = min(m, n), takes: a decomposition 14 m n s, and where it has a metric of the inputs 10 n³ + 4 m n² more; rounding 20 m n, and where it knows
/// the inputs 3 n³ + 2 m n² more; methods that search or iterate these numbers as often as their settings say. Running the model takes 2 operations a parameter and token, with
/// gradients 6. Counts are of the leading terms only: what they are worth in seconds, <see cref="WorkRates"/> knows from earlier runs.
/// </remarks>
/// <param name="run">The prepared recipe.</param>
internal sealed class CostModel(PreparedRun run)
{
    /// <summary>Reading a weight, writing a result and telling what was lost, whatever the layer.</summary>
    private const double EachLayer = 5e6;

    /// <summary>Copies of a weight that a solver holds, in double precision.</summary>
    private const int WeightCopies = 4;

    /// <summary>Bytes of text a token, roughly.</summary>
    private const double BytesPerToken = 4;

    /// <summary>Input vectors that are kept where samples are asked for, roughly.</summary>
    private const int KeptInputs = 512;

    /// <summary>Plans of a budget that are tried, or choices of a layer that are measured, roughly.</summary>
    private const int TriedPlans = 24;

    private const int MeasuredChoices = 16;

    private const double Svd = 14;
    private const double Rounding = 20;
    private const double Forward = 2;
    private const double ForwardAndBackward = 6;

    private const StatisticKinds SecondMoments = StatisticKinds.InputMoments | StatisticKinds.ContextCovariance | StatisticKinds.ContextCovarianceSignedMax | StatisticKinds.ContextCovarianceUnscaled;

    private double Parameters { get; } = run.Model.parameters().Sum(parameter => (double)parameter.numel());

    /// <summary>The work of solving a layer alone.</summary>
    public static Work Solve(LayerUnit unit)
    {
        var shape = unit.Plan.Shape;
        IReadOnlyList<MatrixCost> matrices = [new(shape.Rows, shape.Columns, unit.Plan.BytesBefore)];
        double operations = EachLayer + (10.0 * shape.Count);
        foreach (var step in unit.Steps)
        {
            bool knowsInputs = (step.NeedsOf(shape) & SecondMoments) != 0;
            operations += matrices.Where(matrix => !matrix.IsVector).Sum(matrix => Operations(step, matrix.Rows, matrix.Columns, knowsInputs));
            matrices = step.Predict(shape, matrices);
        }

        long bytes = (sizeof(double) * WeightCopies * shape.Count) + (2 * StatisticsBytes(unit));
        return new(KindOf(unit.Steps), operations, bytes);
    }

    /// <summary>The work of collecting the statistics of some layers, all in one pass.</summary>
    public Work Statistics(IReadOnlyList<LayerUnit> units)
    {
        double tokens = Tokens(RecipeFiles.Calibration, run.Recipe.Calibrate);
        bool gradients = units.Any(unit => (unit.Needs & (StatisticKinds.Fisher | StatisticKinds.FisherDiagonal)) != 0);
        double sums = units.Sum(unit => (unit.Needs & SecondMoments) != 0 ? 2.0 * unit.Plan.Shape.Columns * unit.Plan.Shape.Columns : unit.Plan.Shape.Columns);
        return new("statistics", EachLayer + (tokens * ((Parameters * (gradients ? Forward + ForwardAndBackward : Forward)) + sums)), units.Sum(StatisticsBytes));
    }

    /// <summary>The work of measuring quality once.</summary>
    public Work Evaluate() => Pass("evaluate", Tokens(RecipeFiles.Evaluation, run.Recipe.Evaluate!.SequenceLength), 1);

    /// <summary>The work of scoring the blocks of stacked layers.</summary>
    /// <param name="samples">Samples a score.</param>
    /// <param name="scores">How many scores are missing.</param>
    public Work Scores(int samples, int scores) => Pass("order", Tokens(RecipeFiles.Calibration, run.Recipe.Calibrate is { } calibrate ? calibrate with { Samples = samples } : null), scores);

    /// <summary>The work of training one block against the original's outputs: a pass for its arguments, one for its targets, then its steps.</summary>
    public Work Block(BlockMembers block)
    {
        double inside = block.Layers.Concat(block.Others).Sum(layer => (double)layer.Plan.Shape.Count);
        double tokens = Tokens(RecipeFiles.Calibration, run.Recipe.Calibrate);
        double each = Math.Max(1, run.Recipe.Calibrate is { Samples: > 0 and var samples } ? tokens / samples : 1);
        double training = (double)block.Settings.Steps * block.Settings.BatchSize * each * inside * ForwardAndBackward;
        double kept = tokens * block.Layers.Max(layer => layer.Plan.Shape.Rows + layer.Plan.Shape.Columns) * sizeof(float) * 2;
        return new("reconstruct", EachLayer + training + (2 * Forward * Parameters * tokens), (long)(kept + (6 * sizeof(float) * inside)));
    }

    /// <summary>The work of training what adapters leave open.</summary>
    public Work Train(FineTuning request)
    {
        var settings = request.Settings;
        double tokens = settings.Steps > 0
            ? (double)settings.Steps * settings.BatchSize * settings.Accumulation * settings.SequenceLength
            : settings.Epochs * Tokens(RecipeFiles.Training, settings.SequenceLength);
        return new("train", EachLayer + (tokens * Parameters * ForwardAndBackward), (long)(Parameters * sizeof(float) * 2));
    }

    /// <summary>The work of looking into the weights: two decompositions a layer.</summary>
    public static Work Analyze(IReadOnlyList<LayerUnit> units)
    {
        var shapes = units.Select(unit => unit.Plan.Shape).ToList();
        return new("analyze", EachLayer + shapes.Sum(shape => 2 * Svd * shape.Count * shape.MaxRank), shapes.Count == 0 ? 0 : sizeof(double) * WeightCopies * shapes.Max(shape => shape.Count));
    }

    /// <summary>The work of sharing out a budget: an error for every choice of every layer, one decomposition for all ranks; then plans that are tried, each a run of the model.</summary>
    /// <param name="layers">The layers with something to choose.</param>
    /// <param name="method">How it is shared out.</param>
    public Work Allocate(IReadOnlyList<LayerUnit> layers, AllocationMethod method)
    {
        int tried = method.IsMeasured() ? MeasuredChoices * layers.Count : method == AllocationMethod.Predicted ? TriedPlans : 0;
        double predicted = layers.Sum(unit => Solve(unit).Operations * unit.Steps.Where(step => step is { IsOpen: true } and not Decompose).Aggregate(1.0, (choices, step) => choices * Math.Max(1, step.Candidates(unit.Plan.Shape).Count)));
        double passes = run.Recipe.Calibrate is { } calibrate ? tried * Forward * Parameters * Tokens(RecipeFiles.Calibration, calibrate) : 0;
        return new("allocate", predicted + passes, layers.Count == 0 ? 0 : layers.Max(unit => Solve(unit).Bytes));
    }

    private Work Pass(string kind, double tokens, int times) => new(kind, times * (EachLayer + (Forward * Parameters * tokens)), (long)(Parameters * sizeof(float)));

    /// <summary>Tokens, or rows, that calibration runs through the model.</summary>
    private double Tokens(string role, Calibration? calibrate)
    {
        if (calibrate is null)
        {
            return 0;
        }

        double all = Tokens(role, calibrate.SequenceLength);
        return calibrate.Samples == 0 ? all : Math.Min(all, calibrate.Samples * (IsTensors(role) ? TensorLength(role) : calibrate.SequenceLength));
    }

    private double Tokens(string role, int sequenceLength) => IsTensors(role)
        ? TensorShape(role) is { Count: > 0 } shape ? shape[0] * TensorLength(role) : 1
        : Math.Max(sequenceLength, run.Sources[role].Bytes / BytesPerToken);

    private bool IsTensors(string role) => Path.GetExtension(run.Paths[role]).Equals(".safetensors", StringComparison.OrdinalIgnoreCase);

    /// <summary>Tokens a sample: of ids [samples, length] every one, of vectors [samples, …, width] those before the width.</summary>
    private double TensorLength(string role) => TensorShape(role) switch
    {
        { Count: 2 } shape when IsIds(role) => shape[1],
        { Count: > 2 } shape => shape.Skip(1).SkipLast(1).Aggregate(1.0, (length, size) => length * size),
        _ => 1,
    };

    /// <summary>The header alone is read.</summary>
    private IReadOnlyList<long> TensorShape(string role) => InputOf(role)?.Shape ?? [];

    private bool IsIds(string role) => InputOf(role)?.Type.Name is "I64" or "I32";

    private TensorInfo? InputOf(string role)
    {
        using var file = SafetensorsFile.Open(run.Paths[role]);
        return file.Contains("input") ? file.Info("input") : null;
    }

    private static long StatisticsBytes(LayerUnit unit)
    {
        var (shape, needs) = (unit.Plan.Shape, unit.Needs);
        int matrices = System.Numerics.BitOperations.PopCount((uint)(needs & SecondMoments));
        return (sizeof(double) * matrices * shape.Columns * shape.Columns)
            + ((needs & StatisticKinds.FisherDiagonal) != 0 ? sizeof(double) * shape.Count : 0)
            + ((needs & StatisticKinds.InputSamples) != 0 ? sizeof(float) * KeptInputs * shape.Columns : 0)
            + (needs == StatisticKinds.None ? 0 : sizeof(double) * (shape.Rows + shape.Columns));
    }

    private static string KindOf(IReadOnlyList<Step> steps) => steps.Count == 0 ? "keep" : string.Join('+', steps.Select(step => StepCatalog.Of(step).Name));

    /// <summary>The operations of a step on one matrix.</summary>
    internal static double Operations(Step step, double rows, double columns, bool knowsInputs)
    {
        double area = rows * columns;
        double decomposed = Svd * area * Math.Min(rows, columns);
        double product = 2 * area * columns;
        double rounded = Rounding * area;
        return step switch
        {
            BitStack stack => stack.Blocks * decomposed,
            SvdQuant svd => svd.Iterations * (decomposed + rounded),
            LqLora lora => lora.Iterations * (decomposed + rounded),
            Decompose or { Stage: Stage.Decompose } => decomposed + (knowsInputs ? (10 * columns * columns * columns) + (2 * product) : 0),
            Awq awq => (awq.GridPoints + (awq.Clip ? 10 : 0)) * (product + rounded),
            DecoupleQ decouple => decouple.Iterations * (product + rounded) * Math.Max(1, decouple.StepsPerColumn),
            Gptq gptq => (3 * columns * columns * columns) + product + (rounded * (gptq.SearchRange ? 80 : 1)),
            Hqq hqq => hqq.Iterations * rounded,
            SqueezeLlm table => table.Iterations * rounded * (1 << table.Bits) / 4,
            Vq4Dit table => table.KMeansIterations * 2.0 * area * table.Codewords,
            PowerQuant or FlexRound or Nupes => 60 * rounded,
            NormalFloat => 4 * rounded,
            _ => rounded + (knowsInputs ? (3 * columns * columns * columns) + product : 0),
        };
    }
}
