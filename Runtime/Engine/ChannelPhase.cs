using System.Globalization;
using System.Text;
using System.Text.Json;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Analysis;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Numerics;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Carries out <see cref="TalkingHeads"/>: scores all pairs of heads of the weights as the recipe leaves them, and scales components where the recipe says so.</summary>
internal sealed class ChannelPhase(TalkingHeads settings, PlacedAnalysis place, PreparedRun run, ContentStore store)
{
    /// <summary>The table of all pairs.</summary>
    public const string File = "talking-heads.csv";

    /// <summary>Raised whenever the same weights give other findings.</summary>
    private const int Version = 1;

    /// <summary>Scores, then scales.</summary>
    /// <returns>The findings and the table of all pairs.</returns>
    public (ChannelRecord Record, string Table) Find(AnalyzedWeights weights, CancellationToken cancellation)
    {
        using var scope = NewDisposeScope();
        var layers = Layers();
        string key = Key(weights, layers);
        string file = store.FindOrMake(key, () => store.Put(key, path => System.IO.File.WriteAllText(path, JsonSerializer.Serialize(Score(weights, layers)))), cancellation);
        var found = JsonSerializer.Deserialize<Scored>(System.IO.File.ReadAllText(file))!;
        var edits = settings.EditedComponents.GroupBy(edit => edit.Layer).SelectMany(edit => Edit(weights, layers, edit.Key, [.. edit], key)).ToList();
        return (found.Record with { Edits = edits }, found.Table);
    }

    private Scored Score(AnalyzedWeights weights, IReadOnlyList<AttentionLayer> layers)
    {
        using var scope = NewDisposeScope();
        TalkingHeadsReport report;
        try
        {
            report = new ChannelSearch(settings).Analyze([.. layers.SelectMany((layer, index) => Heads(weights, layer, index))], "as the recipe leaves them");
        }
        catch (Exception failure) when (failure is ArgumentException or InvalidOperationException)
        {
            throw Refused(failure.Message, null, failure);
        }

        var channels = report.Channels.Select(channel => new ChannelEntry(channel.Writer.ToString(), channel.Reader.ToString(), Name(channel.Type), channel.Components, channel.Score, channel.ZScore));
        var record = new ChannelRecord([.. layers.Select(layer => layer.Output)], settings.Heads, report.NormFolded, report.Baseline, report.Edges.Count, [.. channels], []);
        return new(record, Table(report));
    }

    private List<HeadEditEntry> Edit(AnalyzedWeights weights, IReadOnlyList<AttentionLayer> layers, int index, IReadOnlyList<HeadComponent> edits, string state)
    {
        using var scope = NewDisposeScope();
        if (index >= layers.Count || edits.FirstOrDefault(edit => edit.Head >= settings.Heads) is not null)
        {
            var wrong = edits.FirstOrDefault(edit => edit.Head >= settings.Heads) ?? edits[0];
            throw Refused($"'edit' names head {wrong.Layer}.{wrong.Head}, and there are {layers.Count} layers of {settings.Heads} heads, counted from 0", nameof(TalkingHeads.Edit));
        }

        var layer = layers[index];
        var heads = Heads(weights, layer, index);
        var entries = new List<HeadEditEntry>();
        var before = weights.Read(layer.Output).to(float64);
        var change = zeros_like(before);
        int width = (int)(before.shape[1] / settings.Heads);
        foreach (var edit in edits)
        {
            HeadEdit scaled;
            try
            {
                scaled = HeadEdit.ScaleWriter(heads[edit.Head], edit.Component, edit.Factor);
            }
            catch (ArgumentOutOfRangeException failure)
            {
                throw Refused($"'edit' names component {edit.Component} of head {edit.Layer}.{edit.Head}, which has {width}, counted from 0", nameof(TalkingHeads.Edit), failure);
            }

            // Components of one head write along orthogonal directions, so that their changes add up.
            var place = change.narrow(1, (long)edit.Head * width, width);
            place.add_((scaled.Edited.Output.to(float64) - (heads[edit.Head].Fold?.Stored ?? heads[edit.Head]).Output.to(float64)).mT);
            entries.Add(new($"{edit.Layer}.{edit.Head}", edit.Component, edit.Factor, scaled.Change));
        }

        weights.Add(layer.Output, Factors(change), new ContentKey("heads").Add("state", state).Add("edit", settings.Edit).ToString(), new Dictionary<string, double> { ["editedComponents"] = edits.Count });
        return entries;
    }

    /// <summary>The change as factors, without the directions that it does not have.</summary>
    private static FactorPair Factors(Tensor change)
    {
        var (u, s, vt) = linalg.svd(change, fullMatrices: false);
        double[] values = s.data<double>().ToArray();
        long rank = Math.Max(1, values.Count(value => value > values[0] * 1e-13));
        return new(u.narrow(1, 0, rank) * s.narrow(0, 0, rank), vt.narrow(0, 0, rank));
    }

    private IReadOnlyList<AttentionHead> Heads(AnalyzedWeights weights, AttentionLayer layer, int index)
    {
        try
        {
            var output = weights.Read(layer.Output);
            var query = weights.Read(layer.Query);
            var heads = layer.Key is { } key && layer.Value is { } value
                ? AttentionHead.Split(index, query, weights.Read(key), weights.Read(value), output, settings.Heads)
                : Fused(index, query, output);
            return layer.Norm is not { } norm ? heads : [.. heads.Select(head => head.FoldNorm(Gain(norm), norm.Module is LayerNorm))];
        }
        catch (ArgumentException failure)
        {
            throw Refused($"'{layer.Output}': {failure.Message}", nameof(TalkingHeads.Heads), failure);
        }
    }

    private IReadOnlyList<AttentionHead> Fused(int index, Tensor joined, Tensor output)
    {
        if (joined.shape[0] % 3 != 0)
        {
            throw new ArgumentException($"{joined.shape[0]} rows are not query, key and value below each other; name 'key' and 'value' too");
        }

        Tensor Part(long part) => joined.narrow(0, part * joined.shape[0] / 3, joined.shape[0] / 3);
        return AttentionHead.Split(index, Part(0), Part(1), Part(2), output, settings.Heads);
    }

    private Tensor Gain(ModelLayer norm) => run.Weights.Contains(norm.WeightName)
        ? run.Weights.Read(norm.WeightName)
        : throw Refused($"'{norm.Path}' has no weight that could be a norm's gain; name the norms that the projections read through, or drop 'norm'", nameof(TalkingHeads.Norm));

    /// <summary>The attention layers in the model's order.</summary>
    private List<AttentionLayer> Layers()
    {
        var modules = ModelLayer.Find(run.Model);
        var output = Named(settings.Output, nameof(TalkingHeads.Output), modules, null);
        var query = Named(settings.Query, nameof(TalkingHeads.Query), modules, output.Count);
        var key = Named(settings.Key, nameof(TalkingHeads.Key), modules, output.Count);
        var value = Named(settings.Value, nameof(TalkingHeads.Value), modules, output.Count);
        var norm = Named(settings.Norm, nameof(TalkingHeads.Norm), modules, output.Count, mustBeLinear: false);
        return [.. output.Select((layer, i) => new AttentionLayer(layer.Path, query[i].Path, key.ElementAtOrDefault(i)?.Path, value.ElementAtOrDefault(i)?.Path, norm.ElementAtOrDefault(i)))];
    }

    private List<ModelLayer> Named(string text, string setting, IReadOnlyList<ModelLayer> modules, int? count, bool mustBeLinear = true)
    {
        if (text.Length == 0)
        {
            return [];
        }

        var pattern = new LayerPattern(text);
        var named = modules.Where(module => pattern.Matches(module.Path)).ToList();
        if (mustBeLinear && named.Find(module => module.Kind != LayerKinds.Linear) is { } other)
        {
            throw Refused($"'{text}' matches '{other.Path}' ({other.Module.GetType().Name}), which is no linear layer; name the projections alone", setting);
        }

        return count is null || named.Count == count ? named : throw Refused($"'{text}' matches {named.Count} members and '{settings.Output}' {count}; name one for each attention layer", setting);
    }

    private string Key(AnalyzedWeights weights, List<AttentionLayer> layers)
    {
        var key = new ContentKey("channels").Add("version", Version).Add("tensors", TensorLibrary.Version).Add("heads", settings.Heads)
            .Add("components", settings.Components).Add("threshold", settings.ZThreshold).Add("top", settings.Top).Add("tolerance", settings.ClusterTolerance);
        foreach (var layer in layers)
        {
            foreach (string path in new[] { layer.Output, layer.Query, layer.Key, layer.Value }.OfType<string>())
            {
                key.Add("layer", path).Add("state", weights.KeyOf(path));
            }

            key.Add("norm", layer.Norm is { } norm && run.Weights.Contains(norm.WeightName) ? run.Weights.Digest(norm.WeightName) : "").Add("centred", layer.Norm?.Module is LayerNorm ? 1 : 0);
        }

        return key.ToString();
    }

    private PipelineException Refused(string message, string? setting, Exception? cause = null) => new(DiagnosticIds.ContradictorySettings, $"'talkingHeads': {message}", place.SpanOf(setting), cause);

    private static string Name(CompositionType type) => type.ToString().ToLowerInvariant();

    /// <summary>One line for each pair of heads and kind of composition.</summary>
    private static string Table(TalkingHeadsReport report)
    {
        var text = new StringBuilder("writer,reader,type,score,z,top component,top score,top z,top share,top three share\n");
        foreach (var edge in report.Edges)
        {
            text.Append(CultureInfo.InvariantCulture, $"{edge.Writer},{edge.Reader},{Name(edge.Type)},{edge.Score:G6},{edge.ZScore:G6},{edge.Top?.Component},{edge.Top?.Score:G6},{edge.Top?.ZScore:G6},{edge.TopShare:G6},{edge.TopThreeShare:G6}\n");
        }

        return text.ToString();
    }

    private sealed record AttentionLayer(string Output, string Query, string? Key, string? Value, ModelLayer? Norm);

    private sealed record Scored(ChannelRecord Record, string Table);
}
