using PipelineDsl.Runtime.Formats.Safetensors;

namespace PipelineDsl.Cli.Recipes;

/// <summary>Writes the text of a recipe to start from.</summary>
/// <param name="Name">The recipe's name.</param>
/// <param name="Model">The full name of the model's class.</param>
/// <param name="Weights">The weights, relative to the project.</param>
/// <param name="Goal">What it is for.</param>
internal sealed record FirstRecipe(string Name, string Model, string Weights, Goal Goal)
{
    private const string Schema = "https://raw.githubusercontent.com/pipelinedsl/pipelinedsl/main/docs/recipe.schema.json";
    private const int LargestRank = 8;

    /// <summary>Groups that every packed kernel takes; the largest comes first.</summary>
    private static readonly int[] Groups = [128, 64, 32, 16];

    /// <summary>Data to learn from, relative to the project; null for none.</summary>
    public string? TrainingData { get; init; }

    /// <summary>Data to measure with, relative to the project; null for none.</summary>
    public string? HeldOutData { get; init; }

    /// <summary>Whether data is text and not rows of numbers.</summary>
    public bool ReadsText { get; init; }

    /// <summary>The pattern of the layers: those of the repeated blocks, or all.</summary>
    public required string Pattern { get; init; }

    /// <summary>The shortest row of these layers' weights.</summary>
    public required long ShortestRow { get; init; }

    /// <summary>The fewest rows or columns of these layers' weights.</summary>
    public required long SmallestSide { get; init; }

    /// <summary>Takes what the recipe must know of the weights from their header.</summary>
    public static FirstRecipe For(string name, string model, string weights, Goal goal, WeightStore store)
    {
        string? blocks = goal == Goal.FineTune ? Blocks(store.Names) : null;
        TensorInfo[] matrices = [.. store.Names.Where(tensor => blocks is null || tensor.StartsWith(blocks + ".", StringComparison.Ordinal)).Select(store.Info).Where(tensor => tensor.Shape.Count >= 2 && tensor.Shape.All(size => size > 0))];
        long[] rows = [.. matrices.Select(tensor => tensor.Shape.Skip(1).Aggregate(1L, (product, size) => product * size)).DefaultIfEmpty(1)];
        return new(name, model, weights, goal)
        {
            Pattern = blocks is null ? "**" : blocks + ".**",
            ShortestRow = rows.Min(),
            SmallestSide = Math.Min(rows.Min(), matrices.Select(tensor => tensor.Shape[0]).DefaultIfEmpty(1).Min()),
        };
    }

    /// <summary>The recipe.</summary>
    public override string ToString() => $"""
        # yaml-language-server: $schema={Schema}
        # {Purpose}
        version: 1
        recipe: {Name}
        model: {Model}
        weights: {Weights}
        {string.Join('\n', Body())}

        """.ReplaceLineEndings("\n");

    private string Purpose => Goal switch
    {
        Goal.Size => "Few bytes: the budget decides how many bits each layer gets.",
        Goal.Speed => "Fast answers: large layers of 4 bits are multiplied as they are packed.",
        _ => "The model learns from data; only small matrices beside its layers are trained.",
    };

    private IEnumerable<string> Body() => Goal switch
    {
        Goal.Size => Size(),
        Goal.Speed => Speed(),
        _ => FineTune(),
    };

    private IEnumerable<string> Size()
    {
        yield return "# Bits a weight, on average. Less is smaller and worse; '600 KB' or '25%' can be written as well.";
        yield return "budget: 5 bpw";
        if (TrainingData is not null)
        {
            yield return "# What shows which layers matter.";
            yield return $"calibrate: {{ data: {Quoted(TrainingData)}, samples: 64{(ReadsText ? ", sequenceLength: 128" : "")} }}";
        }

        yield return "steps:";
        yield return $"  - match: \"{Pattern}\"           # a pattern over the paths of layers: '*' is one segment, '**' any number";
        yield return $"    quantize: {{ {Grouped()} }}   # for more, see gptq, awq and decoupleQ";
        foreach (string line in Evaluate())
        {
            yield return line;
        }
    }

    private IEnumerable<string> Speed()
    {
        yield return "steps:";
        yield return $"  - match: \"{Pattern}\"           # a pattern over the paths of layers: '*' is one segment, '**' any number";
        yield return $"    quantize: {{ bits: 4, {Grouped()} }}   # 8 bits lose less";
        foreach (string line in Evaluate())
        {
            yield return line;
        }
    }

    private IEnumerable<string> FineTune()
    {
        yield return "train:";
        yield return $"  data: {Quoted(TrainingData!)}";
        if (HeldOutData is not null)
        {
            yield return $"  validation: {Quoted(HeldOutData)}   # the best state on it is kept";
        }

        yield return "  epochs: 1";
        yield return "  learningRate: 1e-3";
        yield return "  warmUp: 5%";
        // Less than full rank, of which a product would be larger than the weight.
        long rank = Math.Clamp(SmallestSide / 2, 1, LargestRank);
        yield return "steps:";
        yield return $"  - match: \"{Pattern}\"";
        yield return $"    lora: {{ rank: {rank}, alpha: {2 * rank} }}   # after 'normalFloat: {{ bits: 4 }}' the same is QLoRA";
        foreach (string line in Evaluate())
        {
            yield return line;
        }
    }

    private IEnumerable<string> Evaluate()
    {
        string metric = ReadsText ? "perplexity" : "loss";
        string other = ReadsText ? "" : "; for classes there is the metric accuracy";
        yield return HeldOutData is null
            ? $"# evaluate: {{ data: {(ReadsText ? "data/test.txt" : "data/test.safetensors")}, metric: {metric}, maxRegression: 5% }}   # measures the model before and after, and fails the build beyond the limit{other}"
            : $"evaluate: {{ data: {Quoted(HeldOutData)}, metric: {metric} }}   # 'maxRegression: 5%' fails the build beyond it{other}";
    }

    private string Grouped() => Array.Find(Groups, group => group <= ShortestRow && ShortestRow % group == 0) is > 0 and var size ? $"groupSize: {size}" : "granularity: channel";

    /// <summary>Where most names have their first number: <c>model.layers</c> of <c>model.layers.0.mlp.weight</c>.</summary>
    private static string? Blocks(IEnumerable<string> names) => names
        .Select(name => name.Split('.'))
        .Select(segments => (Segments: segments, Index: Array.FindIndex(segments, segment => segment.All(char.IsAsciiDigit))))
        .Where(found => found.Index > 0)
        .GroupBy(found => string.Join('.', found.Segments[..found.Index]))
        .OrderByDescending(group => group.Count()).ThenBy(group => group.Key, StringComparer.Ordinal)
        .FirstOrDefault()?.Key;

    private static string Quoted(string path) => path.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '/' or '-' or '_') ? path : $"\"{path}\"";
}
