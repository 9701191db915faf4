using System.Globalization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Reconstruction;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Which layers are trained together, and which are around them.</summary>
/// <param name="Path">The block's path.</param>
/// <param name="Settings">How it is trained.</param>
/// <param name="Layers">The layers that are trained.</param>
/// <param name="Before">The compressed layers that the model calls before it.</param>
/// <param name="Others">The compressed layers inside it that are not trained.</param>
internal sealed record BlockMembers(
    string Path,
    ReconstructionSettings Settings,
    IReadOnlyList<LayerUnit> Layers,
    IReadOnlyList<LayerUnit> Before,
    IReadOnlyList<LayerUnit> Others)
{
    /// <summary>Raised whenever the same input gives another result.</summary>
    private const int Version = 2;

    /// <summary>Raised when another order is told for the same calls.</summary>
    private const int OrderVersion = 1;

    /// <summary>The content key of the order in which a model calls its modules.</summary>
    public static string OrderKey(PreparedRun run, RunOptions options) => run.ModelKey("calls", RecipeFiles.Calibration, options)
        .Add("version", OrderVersion)
        .Add("samples", run.Recipe.Calibrate!.Samples)
        .Add("length", run.Recipe.Calibrate.SequenceLength)
        .ToString();

    /// <summary>The layers that are trained together, by the path of their block.</summary>
    /// <param name="units">All layers.</param>
    /// <param name="modules">Every module of the model, by path.</param>
    public static IReadOnlyList<(string Path, IReadOnlyList<LayerUnit> Layers)> Group(IEnumerable<LayerUnit> units, IReadOnlyDictionary<string, nn.Module> modules) =>
        [.. units.Where(unit => unit.Reconstruction is not null)
            .GroupBy(unit => unit.Reconstruction!.Scope == ReconstructionScope.Layer ? unit.Path : BlockPath.Of(unit.Path, modules), StringComparer.Ordinal)
            .Select(block => (block.Key, (IReadOnlyList<LayerUnit>)[.. block]))];

    /// <summary>The blocks in the order in which they are trained.</summary>
    /// <param name="units">All layers.</param>
    /// <param name="modules">Every module of the model, by path.</param>
    /// <param name="calls">The paths of the modules in the order in which the model calls them.</param>
    /// <exception cref="PipelineException">PDSL3006: a block is never called. PDSL1007: the layers of a block ask for different trainings.</exception>
    public static IReadOnlyList<BlockMembers> InOrder(IReadOnlyList<LayerUnit> units, IReadOnlyDictionary<string, nn.Module> modules, IReadOnlyList<string> calls)
    {
        var blocks = Group(units, modules);
        var order = calls.Index().ToDictionary(call => call.Item, call => call.Index, StringComparer.Ordinal);
        if (blocks.FirstOrDefault(block => !order.ContainsKey(block.Path)) is { Path: not null } unreached)
        {
            throw new PipelineException(DiagnosticIds.LayerNotReached, $"calibration never reached '{unreached.Path}': the model does not use it, or calls 'forward' on it where hooks need 'call'", unreached.Layers[0].Plan.Span);
        }

        return [.. blocks.OrderBy(block => order[block.Path]).Select(block => new BlockMembers(
            block.Path,
            Agreed(block.Path, block.Layers),
            block.Layers,
            [.. units.Where(unit => !BlockPath.Holds(block.Path, unit.Path) && order.GetValueOrDefault(unit.Path, -1) < order[block.Path])],
            [.. units.Where(unit => BlockPath.Holds(block.Path, unit.Path)).Except(block.Layers)]))];
    }

    /// <summary>The content key of the trained block.</summary>
    /// <param name="run">The prepared recipe.</param>
    /// <param name="options">Where it runs, and the state of the user's code.</param>
    /// <param name="state">The content key of each layer as it is before the block is trained, by path.</param>
    public string Key(PreparedRun run, RunOptions options, IReadOnlyDictionary<string, string> state)
    {
        var key = run.ModelKey("block", RecipeFiles.Calibration, options)
            .Add("version", Version)
            .Add("samples", run.Recipe.Calibrate!.Samples)
            .Add("length", run.Recipe.Calibrate.SequenceLength)
            .Add("seed", run.Recipe.Seed)
            .Add("block", Path)
            .Add("teacher", Settings.Teacher.ToString())
            .Add("steps", Settings.Steps)
            .Add("batch", Settings.BatchSize)
            .Add("schedule", Settings.Schedule.ToString())
            .Add("heldOut", Settings.HeldOut.ToString("R", CultureInfo.InvariantCulture))
            .Add("checkpoints", Settings.Checkpoints);
        foreach (var (role, layers) in new[] { ("before", Before), ("other", Others), ("trained", Layers) })
        {
            foreach (var layer in layers)
            {
                key.Add(role, layer.Path).Add("state", state[layer.Path]);
            }
        }

        return key.ToString();
    }

    /// <summary>The content key of each layer of the trained block, by path.</summary>
    /// <param name="key">The key of the block.</param>
    public Dictionary<string, string> LayerKeys(string key) =>
        Layers.ToDictionary(layer => layer.Path, layer => new ContentKey("reconstructed").Add("block", key).Add("layer", layer.Path).ToString());

    /// <summary>The one way in which the layers of a block are trained.</summary>
    /// <exception cref="PipelineException">PDSL1007: they ask for different trainings.</exception>
    public static ReconstructionSettings Agreed(string path, IReadOnlyList<LayerUnit> layers)
    {
        var settings = layers[0].Reconstruction!;
        var other = layers.FirstOrDefault(layer => layer.Reconstruction != settings);
        return other is null ? settings : throw new PipelineException(
            DiagnosticIds.ContradictorySettings,
            $"the layers of block '{path}' train together, and '{other.Path}' asks for another number of steps or samples than '{layers[0].Path}'; give them the same, or say 'reconstruct: layer'",
            other.Plan.Span);
    }
}
