using System.Globalization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Plans;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Engine;

/// <summary>What a run takes at once, told before it begins.</summary>
/// <remarks>What the user's own <c>forward</c> takes, and training beside the trained weights, is not known and not counted.</remarks>
internal sealed class MemoryPlan
{
    /// <summary>The runtime and the tensor library, 200 MB as measured, and blocks of a few megabytes that everything is read and written in.</summary>
    public const long Base = 240L << 20;

    private readonly IReadOnlyList<PlannedLayer> layers;
    private readonly Dictionary<string, (string What, long Bytes)> phases = [];

    private MemoryPlan(IReadOnlyList<PlannedLayer> layers, long resident)
    {
        this.layers = layers;
        Resident = resident;
    }

    /// <summary>Bytes of the model, as long as the run lasts; none where it is made without its numbers.</summary>
    public long Resident { get; }

    /// <summary>The smallest limit that the run can keep.</summary>
    public long Smallest => phases.Values.Max(phase => phase.Bytes);

    /// <summary>Adds up what a recipe takes.</summary>
    /// <param name="recipe">The recipe.</param>
    /// <param name="layers">The layers that get steps.</param>
    /// <param name="resident">Bytes of the model's numbers, or 0 where it has none.</param>
    /// <param name="largest">Bytes of the largest tensor of the weights, which are all read and checked.</param>
    public static MemoryPlan Of(Recipe recipe, IReadOnlyList<PlannedLayer> layers, long resident, long largest)
    {
        var plan = new MemoryPlan(layers, resident);
        plan.Add("reading", "the largest tensor", largest);
        if (layers.Count > 0)
        {
            var worst = layers.MaxBy(plan.Solving)!;
            plan.Add("solving", $"layer '{worst.Path}' alone", plan.Solving(worst));
            var needs = layers.Select(layer => (Layer: layer, Needs: NeedsOf(layer))).ToList();
            if (needs.Exists(layer => layer.Needs != StatisticKinds.None))
            {
                long gradients = needs.Exists(layer => (layer.Needs & (StatisticKinds.Fisher | StatisticKinds.FisherDiagonal)) != 0) ? resident : 0;
                plan.Add("calibration", "the statistics of all layers", needs.Sum(layer => StatisticsBytes(layer.Layer, layer.Needs)) + gradients);
            }

            if (recipe.Train is not null || recipe.Evaluate is not null || recipe.Budget is not null || layers.Any(layer => layer.Steps.Any(RunsModel)))
            {
                // The original of each layer that is compressed stands aside meanwhile.
                plan.Add("running", "the compressed layers beside the original ones", layers.Sum(layer => layer.BytesBefore + layer.BytesAfter + (layer.Steps.Any(step => step is FineTune) ? 4 * layer.BytesBefore : 0)));
            }

            if (recipe.Export != ExportFormats.None)
            {
                plan.Add("export", "the compressed layers for the export", layers.Sum(layer => layer.BytesAfter) + (2 * layers.Max(layer => layer.Shape.Count) * sizeof(float)));
            }
        }

        return plan;
    }

    /// <summary>Bytes that are taken while a layer is solved.</summary>
    public long Solving(PlannedLayer layer) => (long)(Copies(layer) * sizeof(float) * layer.Shape.Count) + StatisticsBytes(layer, NeedsOf(layer));

    /// <summary>The gate that solving goes through; it lets every layer pass, at least alone.</summary>
    /// <param name="limit">The limit, or null.</param>
    public MemoryGate Gate(long? limit) => new(limit - Base - Resident);

    /// <summary>Refuses a limit that cannot be kept.</summary>
    /// <exception cref="PipelineException">PDSL3022: the message tells the smallest that can.</exception>
    public void Require(long limit, Recipe recipe)
    {
        if (Smallest > limit)
        {
            var most = phases.Values.MaxBy(phase => phase.Bytes);
            throw Refusal(recipe, limit, most.Bytes, $"{Figures.Bytes(Base)} for the program, {(Resident > 0 ? Figures.Bytes(Resident) + " for the model, which steps run, " : "")}{Figures.Bytes(most.Bytes - Base - Resident)} for {most.What}");
        }
    }

    /// <summary>The refusal of a limit.</summary>
    /// <param name="recipe">The recipe.</param>
    /// <param name="limit">The limit.</param>
    /// <param name="smallest">The smallest that can be kept.</param>
    /// <param name="what">What it consists of.</param>
    public static PipelineException Refusal(Recipe recipe, long limit, long smallest, string what)
    {
        long megabytes = (smallest + (1 << 20) - 1) >> 20;
        return new(
            DiagnosticIds.MemoryLimitNotAttainable,
            string.Create(CultureInfo.InvariantCulture, $"recipe '{recipe.Name}' takes {megabytes} MB of memory at least and PipelineDslMemoryLimit allows {limit >> 20} MB: {what}; allow {megabytes} MB"),
            recipe.Span);
    }

    private void Add(string phase, string what, long bytes) => phases[phase] = (what, Base + Resident + bytes);

    private static StatisticKinds NeedsOf(PlannedLayer layer) => layer.Steps.Aggregate(StatisticKinds.None, (needs, step) => needs | step.NeedsOf(layer.Shape));

    /// <summary>Whether a step puts compressed layers into the model: it is trained against the model's outputs, or ordered by them.</summary>
    private static bool RunsModel(Step step) => step is IStackStep
        || (step.Stage != Stage.Adapt && SolverCatalog.For(step) is IReconstructingSolver solver && solver.SettingsOf(step) is { Steps: > 0 });

    /// <summary>A step that is still open may take a complete decomposition.</summary>
    private static double Copies(PlannedLayer layer) => layer.Steps.Where(step => step.Stage != Stage.Adapt)
        .Select(step => step.IsOpen ? LayerUnit.UsualCopies : SolverCatalog.For(step).Copies(layer.Shape, step)).DefaultIfEmpty(1).Max();

    /// <summary>As <see cref="Statistics.LayerStatistics"/> says what each is; layers that read the same input share some of them, which is not known yet.</summary>
    private static long StatisticsBytes(PlannedLayer layer, StatisticKinds needs)
    {
        const StatisticKinds Squares = StatisticKinds.InputMoments | StatisticKinds.ContextCovariance | StatisticKinds.ContextCovarianceSignedMax | StatisticKinds.ContextCovarianceUnscaled;
        var (rows, columns) = (layer.Shape.Rows, layer.Shape.Columns);
        long squares = System.Numerics.BitOperations.PopCount((uint)(needs & Squares));
        long lines = System.Numerics.BitOperations.PopCount((uint)(needs & ~Squares));
        return checked((squares * columns * columns * sizeof(double)) + (lines * (rows + columns) * sizeof(double))
            + (needs.HasFlag(StatisticKinds.FisherDiagonal) ? rows * columns * sizeof(float) : 0)
            + (needs.HasFlag(StatisticKinds.InputSamples) ? Numerics.InputReservoir.DefaultCapacity * columns * sizeof(float) : 0));
    }
}
