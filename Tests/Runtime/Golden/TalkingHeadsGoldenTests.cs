using System.Globalization;
using System.Text.RegularExpressions;
using PipelineDsl.Runtime.Analysis;
using PipelineDsl.Runtime.Tests.Analysis;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>Composition scores, components, the edit and its effect on a forward pass against the float64 reference.</summary>
[Trait("Category", "Golden")]
public sealed partial class TalkingHeadsGoldenTests : IDisposable
{
    private readonly DisposeScope scope = NewDisposeScope();
    private readonly GoldenFile golden = GoldenFile.Open("talking-heads");
    private readonly List<AttentionHead> heads = [];
    private readonly int perLayer;
    private readonly AttentionHead writer;
    private readonly AttentionHead reader;
    private readonly TalkingHeadsReport report;

    public TalkingHeadsGoldenTests()
    {
        perLayer = golden.Integer("n_heads");
        for (int layer = 0; layer < golden.Integer("n_layers"); layer++)
        {
            for (int head = 0; head < perLayer; head++)
            {
                Tensor Weight(string name) => golden["in." + name][layer][head];
                heads.Add(new(new(layer, head), Weight("W_Q"), Weight("W_K"), Weight("W_V"), Weight("W_O")));
            }
        }

        writer = heads.Single(head => head.Index == Index("edit_head"));
        reader = heads.Single(head => head.Index == Index("reader_head"));
        report = new ChannelSearch(new()).Analyze(heads, "golden");
    }

    public void Dispose() => scope.Dispose();

    [Fact]
    public void Composition_scores_are_reproduced()
    {
        report.Baseline.ShouldBeNear(golden.Scalar("out.random_baseline"), 1e-14);
        foreach (var (type, name) in new[] { (CompositionType.Query, "out.Q_comp"), (CompositionType.Key, "out.K_comp"), (CompositionType.Value, "out.V_comp") })
        {
            double[] scores = [.. Pairs().Select(pair => report.Edge(pair.Writer, pair.Reader, type).Score)];
            scores.ShouldBeNear(golden[name].reshape(-1), 1e-12);
        }
    }

    [Fact]
    public void Component_scores_and_singular_values_are_reproduced()
    {
        double[] values = [.. heads.SelectMany(head => head.OvCircuit().Values)];
        values.ShouldBeNear(golden["out.OV_singular_values"].reshape(-1), 1e-12);
        double[] scores = [.. Pairs().SelectMany(pair => report.Edge(pair.Writer, pair.Reader, CompositionType.Query).Components.Select(component => component.Score))];
        scores.ShouldBeNear(golden["out.component_Q_comp"].transpose(1, 2).reshape(-1), 1e-10);
    }

    [Fact]
    public void The_planted_channel_is_the_top_component_and_the_top_pair()
    {
        var edge = report.Edge(writer.Index, reader.Index, CompositionType.Query);
        edge.Top!.Component.ShouldBe((int)golden.Scalar("out.top_component"));
        report.Edges.Where(other => other.Type == CompositionType.Query).MaxBy(other => other.Score).ShouldBe(edge);
        var best = golden["out.component_Q_comp"].amax([1])[.., reader.Index.Head].argmax().item<long>();
        report.TopWriters(reader.Index, CompositionType.Query, 1).ShouldHaveSingleItem().Writer.Head.ShouldBe((int)best);
        writer.OvCircuit().PairScores(reader.QkCircuit()).ShouldBeNear(golden["out.comp_pair_abs"], 1e-10);
    }

    [Fact]
    public void The_edited_weight_and_circuit_are_reproduced()
    {
        var edited = Edit().Edited;
        edited.Output.ShouldBeNear(golden["out.W_O_edited"], 1e-12);
        edited.Value.mm(edited.Output).ShouldBeNear(golden["out.OV_edited"], 1e-12);
    }

    [Fact]
    public void A_forward_pass_before_and_after_the_edit_is_reproduced()
    {
        var model = new AttentionOnlyModel(heads);
        foreach (var (weights, state) in new[] { (model, "before"), (model.With(Edit().Edited), "after") })
        {
            var (residual, attention) = weights.Run(golden["in.x"]);
            residual.ShouldBeNear(golden["out.resid_" + state], 1e-12);
            stack([.. heads.Select(head => attention[head.Index])]).ShouldBeNear(golden["out.attn_" + state].flatten(0, 1), 1e-12);
        }
    }

    [Fact]
    public void The_attention_that_each_component_takes_is_reproduced()
    {
        var model = new AttentionOnlyModel(heads);
        var x = golden["in.x"];
        double[] changes = HeadRoles.InhibitionScores(writer, head => model.With(head).Run(x).Attention[reader.Index], x.shape[0] - 1, golden.Integer("marked_position"));
        changes.ShouldBeNear(golden["out.attention_change_per_component"], 1e-10);
    }

    [GeneratedRegex(@"\d+")]
    private static partial Regex Numbers { get; }

    private HeadEdit Edit() => HeadEdit.ScaleWriter(writer, (int)golden.Scalar("out.top_component"), golden.Number("edit_multiplier"));

    /// <summary>Layer and head of a setting such as "layer 0 head 1".</summary>
    private HeadIndex Index(string setting)
    {
        int[] numbers = [.. Numbers.Matches(golden.Setting(setting)).Select(match => int.Parse(match.Value, CultureInfo.InvariantCulture))];
        return new(numbers[0], numbers[1]);
    }

    /// <summary>The pairs of the two layers that the scores are of, writer by writer.</summary>
    private IEnumerable<(HeadIndex Writer, HeadIndex Reader)> Pairs() => Enumerable.Range(0, perLayer)
        .SelectMany(first => Enumerable.Range(0, perLayer).Select(second => (new HeadIndex(writer.Index.Layer, first), new HeadIndex(reader.Index.Layer, second))));
}
