using PipelineDsl.Runtime.Adapters;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Tests.Stories;
using PipelineDsl.Runtime.Training;
using Stories.Model;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Training;

/// <summary>Blocks that are computed again, in the story model with its unchanged code.</summary>
public sealed class RecomputedBlocksTests : IDisposable
{
    private readonly TorchSharp.DisposeScope scope = NewDisposeScope();
    private readonly StoryLlama model = StoryFiles.Model();
    private readonly List<(string Path, Adapter Adapter)> adapters = [];
    private readonly List<IDisposable> installed = [];

    public RecomputedBlocksTests()
    {
        foreach (var parameter in model.parameters())
        {
            parameter.requires_grad = false;
        }

        foreach (var layer in ModelLayer.Find(model).Where(layer => layer.Path.EndsWith("q_proj", StringComparison.Ordinal) || layer.Path.EndsWith("down_proj", StringComparison.Ordinal)))
        {
            var step = new Lora { Rank = 3, Dropout = 0.2, WeightDecomposed = layer.Path.EndsWith("down_proj", StringComparison.Ordinal) };
            var adapter = step.Attach(layer.Weight.detach().clone(), LayerOperation.Linear, adapters.Count);
            using (no_grad())
            {
                adapter.Parameters.Single(parameter => parameter.Name == "B").Value.normal_(0, 0.1);
            }

            adapters.Add((layer.Path, adapter));
            installed.Add(AdapterInstaller.Install(layer, adapter));
        }
    }

    private IReadOnlyDictionary<string, nn.Module> Modules => ModelLayer.Find(model).ToDictionary(layer => layer.Path, layer => layer.Module);

    public void Dispose()
    {
        installed.ForEach(adapter => adapter.Dispose());
        adapters.ForEach(item => item.Adapter.Dispose());
        model.Dispose();
        scope.Dispose();
    }

    [Fact]
    public void Gradients_are_the_same_bits_as_without_dropout_included()
    {
        var expected = Gradients();
        using var blocks = new RecomputedBlocks(Modules, adapters);
        blocks.Paths.ShouldBe(Enumerable.Range(0, 5).Select(layer => $"model.layers.{layer}"), ignoreOrder: true);
        foreach (var found in new[] { Gradients(blocks), Gradients(blocks) })
        {
            found.Loss.ShouldBe(expected.Loss);
            found.Gradients.Count.ShouldBe(expected.Gradients.Count);
            foreach (var (name, gradient) in expected.Gradients)
            {
                found.Gradients[name].equal(gradient).all().item<bool>().ShouldBeTrue(name);
                gradient.abs().sum().item<float>().ShouldBeGreaterThan(0, name);
            }
        }
    }

    [Fact]
    public void Without_gradients_nothing_is_kept_and_nothing_changes()
    {
        using var blocks = new RecomputedBlocks(Modules, adapters);
        using var noGradients = no_grad();
        using var watched = Loss();
        blocks.Dispose();
        using var plain = Loss();
        watched.item<float>().ShouldBe(plain.item<float>());
        watched.requires_grad.ShouldBeFalse();
    }

    private (float Loss, Dictionary<string, Tensor> Gradients) Gradients(RecomputedBlocks? blocks = null)
    {
        adapters.ForEach(item => item.Adapter.Pass = new(1, item.Path, 2, 3));
        var parameters = adapters.SelectMany(item => item.Adapter.Parameters.Select(parameter => (Name: item.Path + "." + parameter.Name, parameter.Value))).ToList();
        parameters.ForEach(parameter => parameter.Value.grad = null);
        using var loss = Loss();
        loss.backward();
        blocks?.Forget();
        return (loss.item<float>(), parameters.ToDictionary(parameter => parameter.Name, parameter => parameter.Value.grad!.clone()));
    }

    private Tensor Loss()
    {
        using var inner = NewDisposeScope();
        var ids = arange(64).remainder(512).mul(7).remainder(500).reshape(2, 32);
        var logits = model.call(ids[.., ..31]);
        return nn.functional.cross_entropy(logits.reshape(-1, logits.shape[^1]), ids[.., 1..].reshape(-1)).MoveToOuterDisposeScope();
    }
}
