using System.Globalization;
using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Tests.Engine;
using PipelineDsl.Runtime.Tests.Stories;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Recommendation;

/// <summary>Mimicked tables of a click-through-rate model beside those of a plain SVD.</summary>
public sealed class ClickModelTests(ITestOutputHelper output)
{
    private const int TrainingRows = 150;
    private const int NumericFields = 13;
    private const int LeastRows = 40;
    private const int Rank = 3;

    [Fact]
    public void Mimicked_tables_restore_calibration_lookups_better_than_a_plain_svd()
    {
        string source = StoryFiles.Large("ctr-samples/criteo_sample.txt");
        Assert.SkipUnless(File.Exists(source), "ctr-samples is not in the data folder");
        using var project = new TwoLayersProject();
        var (ids, clicks, rows) = Read(source);
        Write(project.In("train.safetensors"), ids[..TrainingRows], clicks[..TrainingRows]);
        Write(project.In("test.safetensors"), ids[TrainingRows..], clicks[TrainingRows..]);
        Train(project, rows);

        var mimicked = Compress(project, rows, new MimicFeatures { Rank = Rank });
        var plain = Compress(project, rows, new Decompose { Rank = Rank });
        for (int i = 0; i < mimicked.Count; i++)
        {
            mimicked[i].Loss.ShouldBeLessThanOrEqualTo(plain[i].Loss);
            mimicked[i].Predicted.ShouldBeNear(mimicked[i].Loss, 1e-4);
        }
    }

    private List<(double Loss, double Predicted)> Compress(TwoLayersProject project, List<int> rows, Decompose step)
    {
        string wide = "tables.{" + string.Join(",", Enumerable.Range(0, rows.Count).Where(field => rows[field] >= LeastRows)) + "}";
        var recipe = TwoLayersProject.Recipe((wide, [step])) with
        {
            Model = typeof(ClickModel).FullName!,
            Weights = "clicks.safetensors",
            Calibrate = new("train.safetensors", 0, 2, TwoLayersProject.Span(3), TwoLayersProject.Span(3)),
            Evaluate = new("test.safetensors", Metric.Loss, 2, null, TwoLayersProject.Span(4), TwoLayersProject.Span(4)),
        };
        var run = project.NewRun(updateLock: true);
        var manifest = run.Execute(new ClickPipeline(recipe, rows)).Manifest;
        var losses = manifest.Layers.Select(layer => (LossOf(project, run, layer), layer.Facts["predictedLoss"])).ToList();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{step}: {manifest.Bytes.Before} -> {manifest.Bytes.After} bytes, log-loss {manifest.Quality!.Before:0.0000} -> {manifest.Quality.After:0.0000}, squared error of lookups {losses.Sum(loss => loss.Item1):0.0000}"));
        return losses;
    }

    /// <summary>The mean squared error of a table's lookups on the calibration data, computed from every lookup.</summary>
    private static double LossOf(TwoLayersProject project, Run run, LayerRecord layer)
    {
        using var scope = NewDisposeScope();
        using var original = SafetensorsFile.Open(project.In("clicks.safetensors"));
        using var data = SafetensorsFile.Open(project.In("train.safetensors"));
        using var artifact = SafetensorsFile.Open(Path.Combine(run.Artifact, ArtifactFiles.Weights));
        using var weight = Expression.Read((JsonObject)layer.Weight.DeepClone(), leaf => artifact.Read(layer.Path + "." + leaf));
        int field = int.Parse(layer.Path.Split('.')[1], CultureInfo.InvariantCulture);
        var ids = data.Read("input").select(1, field);
        var difference = original.Read(layer.Path + ".weight").to(float64) - weight.Materialize();
        return difference.index_select(0, ids).square().sum(1).mean().item<double>();
    }

    /// <summary>A few epochs from weights of a generator of its own: tests run side by side.</summary>
    private static void Train(TwoLayersProject project, List<int> rows)
    {
        using var model = new ClickModel(rows);
        using var generator = new Generator(13);
        using (no_grad())
        using (NewDisposeScope())
        {
            foreach (var (_, parameter) in model.named_parameters())
            {
                parameter.copy_(randn(parameter.shape, generator: generator) * 0.1);
            }
        }

        using var optimizer = optim.Adam(model.parameters(), lr: 0.01);
        var source = TensorSource.Open(project.In("train.safetensors"), samples: 0);
        for (int epoch = 0; epoch < 4; epoch++)
        {
            foreach (var batch in source.CalibrationBatches())
            {
                using (batch)
                using (NewDisposeScope())
                {
                    optimizer.zero_grad();
                    nn.functional.binary_cross_entropy_with_logits(model.call(batch.Input), batch.Target!).backward();
                    optimizer.step();
                }
            }
        }

        SafetensorsWriter.Write(project.In("clicks.safetensors"), model.state_dict());
    }

    private static void Write(string path, long[][] ids, float[] clicks)
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor> { ["input"] = stack([.. ids.Select(row => tensor(row))]), ["target"] = tensor(clicks) });
    }

    /// <summary>Each field's values numbered as they come, 0 where one is missing; numbers in buckets of their logarithm.</summary>
    private static (long[][] Ids, float[] Clicks, List<int> Rows) Read(string path)
    {
        string[][] lines = [.. File.ReadLines(path).Skip(1).Select(line => line.Split(','))];
        var words = lines[0].Skip(1).Select(_ => new Dictionary<string, long> { [""] = 0 }).ToList();
        long[][] ids = [.. lines.Select(line => line.Skip(1).Select((text, field) => Number(words[field], field < NumericFields ? Bucket(text) : text)).ToArray())];
        float[] clicks = [.. lines.Select(line => float.Parse(line[0], CultureInfo.InvariantCulture))];
        return (ids, clicks, [.. words.Select(known => known.Count)]);
    }

    private static string Bucket(string text) => text.Length == 0
        ? ""
        : Math.Floor(Math.Log2(Math.Max(0, double.Parse(text, CultureInfo.InvariantCulture)) + 1)).ToString(CultureInfo.InvariantCulture);

    private static long Number(Dictionary<string, long> known, string word)
    {
        if (!known.TryGetValue(word, out long id))
        {
            known[word] = id = known.Count;
        }

        return id;
    }
}
