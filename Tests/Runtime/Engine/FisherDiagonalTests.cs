using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Tests.Formats;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

public sealed class FisherDiagonalTests
{
    [Fact]
    public void Each_sample_is_squared_before_it_is_added_and_only_what_is_asked_for_is_there()
    {
        using var scope = NewDisposeScope();
        using var model = new TwoLayers();
        var input = randn(3, 24, generator: new Generator(1));
        var target = tensor(new[] { 0L, 4L, 2L });
        var needs = new Dictionary<string, StatisticKinds>
        {
            ["first"] = StatisticKinds.FisherDiagonal,
            ["second"] = StatisticKinds.Fisher | StatisticKinds.FisherDiagonal,
            ["twin"] = StatisticKinds.Fisher,
        };
        var statistics = StatisticsCollector.Collect(
            new TwoLayersPipeline(TwoLayersProject.Recipe()), model, needs, () => [new Batch(input.clone(), target.clone())], 0, TwoLayersProject.Span(1), TestContext.Current.CancellationToken);

        statistics["first"].Fisher.ShouldBeNull();
        statistics["first"].FisherDiagonal!.ShouldBeNear(Squares(model, "first.weight", input, target), 1e-6);
        statistics["second"].FisherDiagonal!.ShouldBeNear(Squares(model, "second.weight", input, target), 1e-6);
        (statistics["second"].FisherDiagonal!.sum(1) / 3).ShouldBeNear(statistics["second"].Fisher!.Rows, 1e-6);
        statistics["twin"].FisherDiagonal.ShouldBeNull();
        statistics["twin"].Fisher.ShouldNotBeNull();
    }

    [Fact]
    public void It_survives_the_cache()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        var diagonal = rand(3, 5);
        StatisticsFile.Write(folder.File("statistics"), new LayerStatistics { FisherDiagonal = diagonal });
        Compare.SameBits(StatisticsFile.Read(folder.File("statistics")).FisherDiagonal!, diagonal).ShouldBeTrue();
    }

    [Fact]
    public void A_recipe_with_tables_runs_from_weights_to_artifact()
    {
        using var project = new TwoLayersProject();
        var pipeline = new TwoLayersPipeline(TwoLayersProject.Recipe(("*", [new SqueezeLlm { Bits = 4, SparseFraction = 0.05 }])));
        var run = project.NewRun();
        run.Execute(pipeline);
        run.Diagnostics.ShouldBeEmpty();
        run.SolvedLayers.ShouldBe(["first", "second", "twin"]);
    }

    private static Tensor Squares(TwoLayers model, string name, Tensor input, Tensor target)
    {
        var parameter = model.named_parameters().Single(item => item.name == name).parameter;
        parameter.requires_grad = true;
        var sum = zeros_like(parameter, dtype: float64).detach();
        for (long sample = 0; sample < input.shape[0]; sample++)
        {
            var loss = nn.functional.cross_entropy(model.call(input.narrow(0, sample, 1)), target.narrow(0, sample, 1));
            sum += autograd.grad([loss], [parameter])[0].to(float64).square();
        }

        parameter.requires_grad = false;
        return sum;
    }
}
