using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Models;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Export;

/// <summary>A compressed model as exporters see it.</summary>
internal sealed class ExportSource
{
    private readonly PreparedRun run;
    private readonly List<PendingTensor> biases = [];

    /// <param name="run">The prepared recipe.</param>
    /// <param name="solved">Its solved layers, which must live as long.</param>
    public ExportSource(PreparedRun run, SolvedLayers solved)
    {
        this.run = run;
        Layers = [.. solved.Layers.Values.Select(layer => LayerOf(layer))];
        foreach (var layer in solved.Layers.Values.Where(layer => layer.Summary.BiasBytes is not null))
        {
            var bias = layer.Result.Bias!;
            string name = layer.Unit.Layer.BiasName;
            var type = run.Weights.Contains(name) ? run.Weights.Info(name).Type : run.Weights.Info(layer.Unit.Layer.WeightName).Type;
            biases.Add(new(name, type, bias.shape, () => bias.to(type.Torch!.Value, copy: true)));
            if (!run.Weights.Contains(name))
            {
                AddedBiases.Add(name);
            }
        }

        var replaced = Layers.Select(layer => layer.WeightName).Concat(biases.Select(bias => bias.Name)).ToHashSet(StringComparer.Ordinal);
        Others = [.. NamesOf(run).Where(name => !replaced.Contains(name)).Select(Stored), .. biases];
    }

    /// <summary>The recipe's name.</summary>
    public string Name => run.Recipe.Name;

    /// <summary>The compressed layers, by path.</summary>
    public IReadOnlyList<ExportLayer> Layers { get; }

    /// <summary>Every other tensor: those kept as they were, and biases that solvers changed.</summary>
    public IReadOnlyList<PendingTensor> Others { get; }

    /// <summary>Biases that solvers added where the model has none.</summary>
    public List<string> AddedBiases { get; } = [];

    /// <summary>The files that went into the run, by role.</summary>
    public IReadOnlyDictionary<string, string> Paths => run.Paths;

    /// <summary>The paths of all linear layers of the model, sorted.</summary>
    public IReadOnlyList<string> Linears => [.. ModelLayer.Find(run.Model).Where(layer => layer.Kind == LayerKinds.Linear).Select(layer => layer.Path).Order(StringComparer.Ordinal)];

    /// <summary>The names of the model's tensors that the weights hold, sorted.</summary>
    public static IEnumerable<string> NamesOf(PreparedRun run) => run.Model.state_dict().Keys.Where(run.Weights.Contains).Order(StringComparer.Ordinal);

    private ExportLayer LayerOf(SolvedUnit layer)
    {
        var info = run.Weights.Info(layer.Unit.Layer.WeightName);
        return new(layer.Unit.Path, layer.Unit.Plan.Shape.Kind, info.Shape, info.Type, layer.Result.Weight);
    }

    private PendingTensor Stored(string name)
    {
        var info = run.Weights.Info(name);
        return new(name, info.Type, info.Shape, () => run.Weights.Read(name));
    }
}
