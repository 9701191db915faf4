namespace PipelineDsl.Runtime.Tests.Engine;

public sealed class LayerStackTests : IDisposable
{
    private readonly TwoLayersProject project = new();

    public void Dispose() => project.Dispose();

    [Fact]
    public void One_changed_rank_among_thirty_layers_runs_one_solver()
    {
        var all = new LayerStackPipeline(width: 16, rank: 4);
        all.WriteWeights(project.Folder);
        var first = project.NewRun(updateLock: true);
        first.Execute(all);
        first.SolvedLayers.Count().ShouldBe(LayerStack.Count);

        var second = project.NewRun(updateLock: true);
        second.Execute(new LayerStackPipeline(width: 16, rank: 4, changed: 17));
        second.SolvedLayers.ShouldBe(["layers.17"]);
        second.Journal.ShouldContain($"recipe stack solved=1 cached={LayerStack.Count - 1}");
    }
}
