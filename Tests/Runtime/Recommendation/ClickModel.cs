using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Data;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Recommendation;

/// <summary>A click-through-rate model: one table a field, and a perceptron over their rows side by side.</summary>
internal sealed class ClickModel : nn.Module<Tensor, Tensor>
{
    public const int Width = 10;

    private readonly ModuleList<Embedding> tables;
    private readonly Linear hidden;
    private readonly Linear output;

    public ClickModel(IReadOnlyList<int> rows)
        : base(nameof(ClickModel))
    {
        tables = nn.ModuleList([.. rows.Select(count => nn.Embedding(count, Width))]);
        hidden = nn.Linear(rows.Count * Width, 32);
        output = nn.Linear(32, 1);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var x = cat([.. tables.Select((table, field) => table.call(input.select(1, field)))], 1);
        return output.call(nn.functional.relu(hidden.call(x))).squeeze(1).MoveToOuterDisposeScope();
    }
}

/// <summary>What the generator would emit, with the user's own loss.</summary>
internal sealed class ClickPipeline(Recipe recipe, IReadOnlyList<int> rows) : ModelPipeline<ClickModel>
{
    public override Recipe Recipe { get; } = recipe;

    public override ClickModel CreateModel() => new(rows);

    public override Tensor Loss(ClickModel model, Batch batch)
    {
        using var scores = Run(model, batch);
        return nn.functional.binary_cross_entropy_with_logits(scores, batch.Target!);
    }

    public override bool IsOnlyLookedUp(string table) => true;
}
