using PipelineDsl.Runtime.Analysis;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Analysis;

public sealed class TalkingHeadsTests : IDisposable
{
    private const int D = 24;
    private const int Width = 4;

    private readonly DisposeScope scope = NewDisposeScope();
    private readonly Generator generator = new(91);
    private readonly List<AttentionHead> heads;

    public TalkingHeadsTests() => heads = [.. from layer in Enumerable.Range(0, 3) from head in Enumerable.Range(0, 2) select Head(layer, head, D, Width)];

    public static TheoryData<CompositionType> Types => new(Enum.GetValues<CompositionType>());

    public void Dispose()
    {
        scope.Dispose();
        generator.Dispose();
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Scores_equal_those_of_the_dense_products(CompositionType type)
    {
        var edges = new ChannelSearch(new()) { Types = [type] }.Analyze(heads, "random").Edges;
        edges.Count.ShouldBe(3 * 4);
        foreach (var edge in edges)
        {
            edge.Writer.Layer.ShouldBeLessThan(edge.Reader.Layer);
            var (first, second) = (Ov(edge.Writer), Input(edge.Reader, type));
            edge.Score.ShouldBeNear(Compare.Norm(first.mm(second)) / (Compare.Norm(first) * Compare.Norm(second)), 1e-12);
            edge.Score.ShouldBeInRange(0, 1);
            var (_, s, vt) = linalg.svd(first);
            foreach (var component in edge.Components)
            {
                component.SingularValue.ShouldBeNear(s[component.Component].item<double>(), 1e-12);
                component.Score.ShouldBeNear(Compare.Norm(vt.narrow(0, component.Component, 1).mm(second)) / Compare.Norm(second), 1e-11);
            }
        }
    }

    [Fact]
    public void The_score_with_the_identity_is_one_over_the_root_of_the_width()
    {
        var identity = Circuit.Of(eye(D, dtype: float64), eye(D, dtype: float64));
        foreach (var head in heads)
        {
            head.OvCircuit().CompositionScore(identity).ShouldBeNear(1 / Math.Sqrt(D), 1e-12);
        }

        var line = Circuit.Of(Gaussian(D, 1), Gaussian(D, 1));
        line.CompositionScore(Circuit.Of(line.Writing, Gaussian(D, 1))).ShouldBe(1, 1e-12);
    }

    [Fact]
    public void Scores_do_not_depend_on_scale_on_a_rotation_of_the_residual_stream_or_on_the_gauge_of_values()
    {
        var expected = new ChannelSearch(new()).Analyze(heads, "random").Edges;
        var rotation = linalg.qr(Gaussian(D, D)).Q;
        var gauge = Gaussian(Width, Width);
        foreach (var changed in new[]
        {
            heads.Select(head => head with { Value = head.Value * 3, Key = head.Key * -0.1 }),
            heads.Select(head => head with { Query = rotation.mT.mm(head.Query), Key = rotation.mT.mm(head.Key), Value = rotation.mT.mm(head.Value), Output = head.Output.mm(rotation) }),
            heads.Select(head => head with { Value = head.Value.mm(gauge), Output = linalg.solve(gauge, head.Output) }),
        })
        {
            var edges = new ChannelSearch(new()).Analyze([.. changed], "changed").Edges;
            foreach (var (edge, before) in edges.Zip(expected))
            {
                edge.Score.ShouldBeNear(before.Score, 1e-10);
                edge.ZScore.ShouldBe(before.ZScore, 1e-8);
                edge.TopThreeShare.ShouldBeNear(before.TopThreeShare, 1e-9);
                foreach (var (component, other) in edge.Components.Zip(before.Components))
                {
                    component.Score.ShouldBeNear(other.Score, 1e-9);
                }
            }
        }
    }

    [Fact]
    public void The_gauge_of_values_changes_no_component()
    {
        var gauge = Gaussian(Width, Width);
        var before = heads[0].OvCircuit();
        var after = (heads[0] with { Value = heads[0].Value.mm(gauge), Output = linalg.solve(gauge, heads[0].Output) }).OvCircuit();
        after.Reading.ShouldBeNear(before.Reading, 1e-10);
        after.Writing.ShouldBeNear(before.Writing, 1e-10);
        using var values = tensor(before.Values);
        after.Values.ShouldBeNear(values, 1e-11);
    }

    [Fact]
    public void The_square_of_a_score_is_the_mean_of_the_squared_component_scores_weighted_by_the_singular_values()
    {
        var (writer, reader) = (heads[0].OvCircuit(), heads[5].QkCircuit());
        double dense = Compare.Norm(Ov(new(0, 0)).mm(Input(new(2, 1), CompositionType.Query))) / (Compare.Norm(Ov(new(0, 0))) * Compare.Norm(Input(new(2, 1), CompositionType.Query)));
        double[] weights = [.. writer.Values.Select(value => value * value)];
        double[] components = writer.ComponentScores(reader);
        (dense * dense).ShouldBeNear(weights.Zip(components).Sum(item => item.First * item.Second * item.Second) / weights.Sum(), 1e-12);
        var pairs = writer.PairScores(reader).square().data<double>().ToArray();
        double sum = pairs.Select((square, index) => weights[index / Width] * Math.Pow(reader.Values[index % Width], 2) * square).Sum();
        (dense * dense).ShouldBeNear(sum / (weights.Sum() * reader.Values.Sum(value => value * value)), 1e-12);
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void A_planted_channel_of_rank_one_is_found_in_the_input_where_it_is(CompositionType type)
    {
        var many = Enumerable.Range(0, 2).SelectMany(layer => Enumerable.Range(0, 6).Select(head => Head(layer, head, 96, Width))).ToList();
        var direction = linalg.qr(Gaussian(96, 1)).Q;
        var (writer, reader) = (many[1], many[6 + 3]);
        many[1] = writer with { Output = writer.Output + (30 * Gaussian(Width, 1).mm(direction.mT)) };
        Tensor Reading(Tensor weight) => weight + (30 * direction.mm(Gaussian(1, Width)));
        many[9] = type switch
        {
            CompositionType.Query => reader with { Query = Reading(reader.Query) },
            CompositionType.Key => reader with { Key = Reading(reader.Key) },
            _ => reader with { Value = Reading(reader.Value) },
        };

        var report = new ChannelSearch(new()).Analyze(many, "planted");
        var channel = report.Channels.ShouldHaveSingleItem();
        (channel.Writer, channel.Reader, channel.Type).ShouldBe((writer.Index, reader.Index, type));
        channel.Components.ShouldBe([0]);
        channel.ZScore.ShouldBeGreaterThan(6);
        var edge = report.Edge(writer.Index, reader.Index, type);
        report.TopWriters(reader.Index, type, 2)[0].ShouldBe(edge);
        edge.Top!.Component.ShouldBe(0);
        edge.TopShare.ShouldBeGreaterThan(0.95);
        report.Edges.Where(other => other != edge).ShouldAllBe(other => other.Top!.Score < 0.7 * edge.Top.Score);
        var pairs = many[1].OvCircuit().PairScores(type switch
        {
            CompositionType.Query => many[9].QkCircuit(),
            CompositionType.Key => many[9].QkCircuit().Transposed,
            _ => many[9].OvCircuit(),
        });
        pairs.argmax().item<long>().ShouldBe(0);
        var top = new ChannelSearch(new() { Top = 2, Components = 1 }).Analyze(many, "planted");
        top.Channels.Count(other => other.Type == type).ShouldBe(2);
        top.Channels.First(other => other.Type == type).Writer.ShouldBe(channel.Writer);
        top.Edges.ShouldAllBe(other => other.Components.Count == 1);
        top.Edge(writer.Index, reader.Index, type).TopShare.ShouldBe(edge.TopShare);
    }

    [Fact]
    public void Random_heads_have_scores_about_the_baseline()
    {
        var random = Enumerable.Range(0, 2).SelectMany(layer => Enumerable.Range(0, 2).Select(head => Head(layer, head, 512, 64))).ToList();
        var report = new ChannelSearch(new()).Analyze(random, "random");
        report.Baseline.ShouldBe(1 / Math.Sqrt(512), 1e-15);
        report.Edges.Average(edge => edge.Score).ShouldBe(report.Baseline, 0.1 * report.Baseline);
        report.Channels.Count.ShouldBeLessThan(5);
    }

    [Fact]
    public void An_edit_with_the_factor_one_changes_nothing()
    {
        foreach (var head in heads)
        {
            Compare.SameBits(HeadEdit.ScaleWriter(head, 2, 1).Edited.Output, head.Output).ShouldBeTrue();
            var edit = HeadEdit.ScaleReader(head, 2, 1);
            Compare.SameBits(edit.Edited.Query, head.Query).ShouldBeTrue();
            edit.Change.ShouldBe(0);
        }
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(0, 3)]
    [InlineData(0.5, 1)]
    [InlineData(-2, 2)]
    public void An_edit_scales_one_component_and_leaves_the_others(double alpha, int component)
    {
        var head = heads[3];
        var writer = HeadEdit.ScaleWriter(head, component, alpha);
        writer.Edited.Value.ShouldBeSameAs(head.Value);
        Check(head.OvCircuit(), head.Value.mm(head.Output), writer.Edited.Value.mm(writer.Edited.Output), writer.Edited.OvCircuit());
        writer.Change.ShouldBeNear(Compare.Norm(writer.Edited.Output - head.Output), 1e-10);
        var reader = HeadEdit.ScaleReader(head, component, alpha);
        reader.Edited.Key.ShouldBeSameAs(head.Key);
        Check(head.QkCircuit(), head.Query.mm(head.Key.mT), reader.Edited.Query.mm(reader.Edited.Key.mT), reader.Edited.QkCircuit());
        reader.Change.ShouldBeNear(Compare.Norm(reader.Edited.Query - head.Query), 1e-10);

        void Check(Circuit before, Tensor dense, Tensor edited, Circuit after)
        {
            var part = before.Values[component] * before.Reading.narrow(1, component, 1).mm(before.Writing.narrow(1, component, 1).mT);
            edited.ShouldBeNear(dense + ((alpha - 1) * part), 1e-12);
            var overlaps = before.Reading.mT.mm(after.Reading) * before.Writing.mT.mm(after.Writing);
            for (int i = 0; i < Width; i++)
            {
                int[] matches = [.. Enumerable.Range(0, Width).Where(j => Math.Abs(overlaps[i, j].item<double>() - 1) < 1e-9)];
                if (i != component)
                {
                    after.Values[matches.ShouldHaveSingleItem()].ShouldBeNear(before.Values[i], 1e-10);
                }
            }
        }
    }

    [Fact]
    public void A_component_that_is_switched_off_is_orthogonal_to_the_output_for_every_input()
    {
        foreach (var head in heads)
        {
            var direction = head.OvCircuit().Writing.narrow(1, 1, 1);
            var x = Gaussian(50, D);
            var edited = HeadEdit.ScaleWriter(head, 1, 0).Edited;
            Compare.Norm(x.mm(head.Value).mm(head.Output).mm(direction)).ShouldBeGreaterThan(1);
            Compare.Norm(x.mm(edited.Value).mm(edited.Output).mm(direction)).ShouldBeLessThan(1e-10);
        }
    }

    [Fact]
    public void The_output_of_an_edited_head_changes_on_a_forward_pass_as_computed()
    {
        var x = Gaussian(7, D);
        var last = heads[^1];
        var model = new AttentionOnlyModel(heads);
        var edit = HeadEdit.ScaleWriter(last, 0, 0.25);
        var (before, attention) = model.Run(x);
        var (after, _) = model.With(edit.Edited).Run(x);
        var ov = last.OvCircuit();
        var read = new AttentionOnlyModel([.. heads.Where(head => head.Index.Layer < last.Index.Layer)]).Run(x).Residual;
        var component = ov.Values[0] * read.mm(ov.Reading.narrow(1, 0, 1)).mm(ov.Writing.narrow(1, 0, 1).mT);
        (after - before).ShouldBeNear(-0.75 * attention[last.Index].mm(component), 1e-10);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_folded_norm_reads_and_writes_as_the_model_does_and_edits_go_through_it(bool centred)
    {
        var head = heads[1];
        var gain = Gaussian(D, 1).squeeze(1).abs() + 0.1;
        var folded = head.FoldNorm(gain, centred);
        var x = Gaussian(6, D);
        Tensor Centre(Tensor rows) => centred ? rows - rows.mean([1], keepdim: true) : rows;
        var normalised = Centre(x) * gain;
        x.mm(folded.Query).mm(x.mm(folded.Key).mT).ShouldBeNear(normalised.mm(head.Query).mm(normalised.mm(head.Key).mT), 1e-12);
        x.mm(folded.Value).mm(folded.Output).ShouldBeNear(Centre(normalised.mm(head.Value).mm(head.Output)), 1e-12);

        var (ov, qk) = (folded.OvCircuit(), folded.QkCircuit());
        var written = HeadEdit.ScaleWriter(folded, 2, 0).Edited.FoldNorm(gain, centred);
        written.Value.mm(written.Output).ShouldBeNear(Dense(ov) - Part(ov, 2), 1e-11);
        var read = HeadEdit.ScaleReader(folded, 1, 3).Edited.FoldNorm(gain, centred);
        read.Query.mm(read.Key.mT).ShouldBeNear(Dense(qk) + (2 * Part(qk, 1)), 1e-11);
        Should.Throw<InvalidOperationException>(() => folded.FoldNorm(gain, centred)).Message.ShouldContain("already");
        Should.Throw<InvalidOperationException>(() => HeadEdit.ScaleReader(head.FoldNorm(gain * 0, centred: false), 0, 0)).Message.ShouldContain("gain of zero");
        Should.Throw<ArgumentException>(() => new ChannelSearch(new()).Analyze([folded, heads[4]], "mixed")).Message.ShouldContain("norm");
        new ChannelSearch(new()).Analyze([folded, heads[4].FoldNorm(gain, centred)], "folded").NormFolded.ShouldBeTrue();
    }

    [Fact]
    public void Projections_are_split_by_head_and_by_group()
    {
        var (query, key, value, output) = (Gaussian(16, D), Gaussian(8, D), Gaussian(8, D), Gaussian(D, 16));
        var split = AttentionHead.Split(5, query, key, value, output, 4);
        split.Select(head => head.Index.ToString()).ShouldBe(["5.0", "5.1", "5.2", "5.3"]);
        var x = Gaussian(3, D);
        cat([.. split.Select(head => x.mm(head.Query))], 1).ShouldBeNear(nn.functional.linear(x, query), 1e-14);
        cat([.. split.Where((_, head) => head % 2 == 1).Select(head => x.mm(head.Value))], 1).ShouldBeNear(nn.functional.linear(x, value), 1e-14);
        Compare.SameBits(split[2].Key, split[3].Key).ShouldBeTrue();
        Compare.SameBits(split[1].Key, split[2].Key).ShouldBeFalse();
        var z = Gaussian(3, 16);
        split.Select((head, i) => z.narrow(1, i * Width, Width).mm(head.Output)).Aggregate((a, b) => a + b).ShouldBeNear(nn.functional.linear(z, output), 1e-13);

        var (wide, tall) = (Gaussian(16, D), Gaussian(16, D));
        var columns = AttentionHead.SplitConv1D(5, cat([query, wide, tall], 0).mT, output.mT, 4);
        foreach (var (head, expected) in columns.Zip(AttentionHead.Split(5, query, wide, tall, output, 4)))
        {
            (Compare.SameBits(head.Query, expected.Query) && Compare.SameBits(head.Key, expected.Key)).ShouldBeTrue();
            (Compare.SameBits(head.Value, expected.Value) && Compare.SameBits(head.Output, expected.Output)).ShouldBeTrue();
        }

        Should.Throw<ArgumentException>(() => AttentionHead.Split(0, query, key, value, output, 3)).Message.ShouldContain("3 heads");
        Should.Throw<ArgumentException>(() => AttentionHead.SplitConv1D(0, query.mT, output.mT, 4)).Message.ShouldContain("columns");
    }

    [Fact]
    public void Edits_keep_the_dtype_of_the_stored_weight()
    {
        var half = heads[0] with { Query = heads[0].Query.to(bfloat16), Output = heads[0].Output.to(float16) };
        HeadEdit.ScaleWriter(half, 0, 0).Edited.Output.dtype.ShouldBe(float16);
        HeadEdit.ScaleReader(half, 0, 0).Edited.Query.dtype.ShouldBe(bfloat16);
        Should.Throw<ArgumentOutOfRangeException>(() => HeadEdit.ScaleWriter(half, Width, 0));
        Should.Throw<ArgumentOutOfRangeException>(() => HeadEdit.ScaleReader(half, 0, double.NaN));
    }

    [Fact]
    public void Components_of_equal_singular_values_are_judged_together()
    {
        var reading = linalg.qr(Gaussian(D, Width)).Q;
        var writing = linalg.qr(Gaussian(D, Width)).Q;
        using var values = tensor(new double[] { 5, 5, 2, 1 });
        var mixing = linalg.qr(Gaussian(2, 2)).Q;
        var plain = heads[0] with { Value = reading * values, Output = writing.mT };
        var mixed = heads[0] with
        {
            Value = cat([reading[.., ..2].mm(mixing), reading[.., 2..]], 1) * values,
            Output = cat([writing[.., ..2].mm(mixing), writing[.., 2..]], 1).mT,
        };
        plain.OvCircuit().Clusters(1e-3).Select(cluster => cluster.Count).ShouldBe([2, 1, 1]);
        Circuit.Of(zeros(D, Width), zeros(D, Width)).Clusters(1e-3).ShouldBeEmpty();
        var analysis = new ChannelSearch(new() { Top = 3 }) { Types = [CompositionType.Query] };
        var expected = analysis.Analyze([plain, heads[4]], "plain").Channels.Single(channel => channel.Components.Count == 2);
        var found = analysis.Analyze([mixed, heads[4]], "mixed").Channels.Single(channel => channel.Components.Count == 2);
        found.Score.ShouldBeNear(expected.Score, 1e-10);
    }

    [Fact]
    public void A_head_that_writes_nothing_has_no_channel_and_no_score()
    {
        var silent = heads[0] with { Output = zeros_like(heads[0].Output) };
        var report = new ChannelSearch(new() { Top = 100 }) { LayerPairs = [(0, 1)] }.Analyze([silent, heads[2], heads[4]], "silent");
        report.Edges.Count.ShouldBe(3);
        report.Edges.ShouldAllBe(edge => edge.Score == 0 && edge.ZScore == 0 && edge.TopShare == 0);
        report.Channels.ShouldBeEmpty();
        Should.Throw<KeyNotFoundException>(() => report.Edge(new(0, 0), new(2, 0), CompositionType.Query)).Message.ShouldContain("2.0");
        Should.Throw<ArgumentException>(() => new ChannelSearch(new()).Analyze([heads[0], heads[1]], "one layer")).Message.ShouldContain("no pair");
        Should.Throw<InvalidOperationException>(() => new ChannelSearch(new() { Components = -1 }).Analyze(heads, "none")).Message.ShouldContain("component");
    }

    [Fact]
    public void Residuals_move_within_the_span_of_the_channels_only()
    {
        var subspace = ChannelSubspace.Of(Gaussian(D, 3));
        var residual = Gaussian(5, D);
        var target = Gaussian(3, 1).squeeze(1);
        var moved = subspace.Move(residual, [1, 4], target);
        foreach (long position in new long[] { 0, 2, 3 })
        {
            Compare.SameBits(moved[position], residual[position]).ShouldBeTrue();
        }

        subspace.Coordinates(moved[1]).ShouldBeNear(target, 1e-12);
        subspace.Coordinates(moved[4]).ShouldBeNear(target, 1e-12);
        var change = moved - residual;
        change.ShouldBeNear(subspace.Coordinates(change).mm(subspace.Basis.mT), 1e-12);
        Should.Throw<ArgumentException>(() => ChannelSubspace.Of(ones(D, 2, dtype: float64))).Message.ShouldContain("depend");
    }

    [Fact]
    public void Roles_are_told_from_attention_and_from_copying()
    {
        using var attention = tensor(new double[,] { { 1, 0, 0, 0, 0 }, { 0.5, 0.5, 0, 0, 0 }, { 0.7, 0.2, 0.1, 0, 0 }, { 0.1, 0.2, 0.3, 0.4, 0 }, { 0.1, 0.6, 0.1, 0.1, 0.1 } });
        int[] tokens = [7, 8, 7, 9, 8];
        HeadRoles.RepetitionScore(attention, tokens, 0).ShouldBe((0.7 + 0.6) / 2, 1e-15);
        HeadRoles.RepetitionScore(attention, tokens, 1).ShouldBe((0.2 + 0.1) / 2, 1e-15);
        HeadRoles.RepetitionScore(attention, [1, 2, 3, 4, 5], 0).ShouldBe(0);
        var embedding = linalg.qr(Gaussian(D, D)).Q;
        var basis = linalg.qr(Gaussian(D, D)).Q;
        var copying = new AttentionHead(new(0, 0), basis, basis, basis, basis.mT);
        HeadRoles.CopyingScore(copying, embedding, embedding.mT, 1).ShouldBe(1);
        HeadRoles.CopyingScore(copying with { Output = -basis.mT }, embedding, embedding.mT, D - 1).ShouldBe(0);
    }

    private static Tensor Part(Circuit circuit, int component) =>
        circuit.Values[component] * circuit.Reading.narrow(1, component, 1).mm(circuit.Writing.narrow(1, component, 1).mT);

    private static Tensor Dense(Circuit circuit) => Enumerable.Range(0, circuit.Values.Length).Select(component => Part(circuit, component)).Aggregate((a, b) => a + b);

    private Tensor Ov(HeadIndex index) => Find(index).Value.mm(Find(index).Output);

    private Tensor Input(HeadIndex index, CompositionType type) => type switch
    {
        CompositionType.Query => Find(index).Query.mm(Find(index).Key.mT),
        CompositionType.Key => Find(index).Key.mm(Find(index).Query.mT),
        _ => Ov(index),
    };

    private AttentionHead Find(HeadIndex index) => heads.Single(head => head.Index == index);

    private AttentionHead Head(int layer, int head, long model, long width) =>
        new(new(layer, head), Gaussian(model, width), Gaussian(model, width), Gaussian(model, width), Gaussian(width, model));

    private Tensor Gaussian(long m, long n) => randn([m, n], dtype: float64, generator: generator);
}
