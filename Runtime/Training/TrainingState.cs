using System.Globalization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Optimization;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Training;

/// <summary>All that a training run has come to: what the next step depends on, and what the report tells. One file holds it, which appears whole or not at all.</summary>
/// <param name="tensors">What is trained; still the caller's.</param>
/// <param name="optimizer">What moves them; still the caller's.</param>
internal sealed class TrainingState(IReadOnlyList<TrainedTensor> tensors, Optimizer optimizer) : IDisposable
{
    private const string Trained = "trained.";
    private const string Best = "best.";
    private const string Moments = "optimizer.";
    private const string LossCurve = "losses";
    private const string ValidationCurve = "validation";
    private const string KeyEntry = "key";
    private const string CountersEntry = "counters";

    private readonly List<LossPoint> losses = [];
    private readonly List<LossPoint> validation = [];
    private List<Tensor>? best;
    private double bestLoss = double.PositiveInfinity;

    /// <summary>Optimizer steps taken.</summary>
    public int Step { get; private set; }

    /// <summary>Targets scored in training.</summary>
    public long Targets { get; private set; }

    /// <summary>The step of the best held-out loss.</summary>
    public int BestStep { get; private set; }

    /// <summary>Evaluations since then.</summary>
    public int EvaluationsSinceBest { get; private set; }

    /// <summary>The mean loss of each step's targets.</summary>
    public IReadOnlyList<LossPoint> Losses => losses;

    /// <summary>The loss on held-out data.</summary>
    public IReadOnlyList<LossPoint> Validation => validation;

    /// <summary>A step was taken.</summary>
    /// <param name="loss">The mean loss of its targets.</param>
    /// <param name="targets">How many there were.</param>
    public void Advance(double loss, long targets)
    {
        Step++;
        Targets += targets;
        losses.Add(new(Step, loss));
    }

    /// <summary>A held-out loss was measured; the best state so far is copied. A loss that is no number is never best.</summary>
    public void Judge(double loss)
    {
        validation.Add(new(Step, loss));
        if (!(loss < bestLoss))
        {
            EvaluationsSinceBest++;
            return;
        }

        using var scope = NewDisposeScope();
        Forget();
        best = [.. tensors.Select(tensor => tensor.Value.detach().clone().DetachFromDisposeScope())];
        (bestLoss, BestStep, EvaluationsSinceBest) = (loss, Step, 0);
    }

    /// <summary>Gives the trained tensors the best state.</summary>
    public void ReturnToBest()
    {
        using var noGradients = no_grad();
        foreach (var (tensor, kept) in tensors.Zip(best ?? []))
        {
            tensor.Value.copy_(kept);
        }
    }

    /// <summary>Writes the state.</summary>
    /// <param name="path">The file.</param>
    /// <param name="key">What the work depends on.</param>
    public void Save(string path, string key)
    {
        using var scope = NewDisposeScope();
        var all = tensors.Select(tensor => KeyValuePair.Create(Trained + tensor.Name, tensor.Value.detach()))
            .Concat(tensors.Zip(best ?? [], (tensor, kept) => KeyValuePair.Create(Best + tensor.Name, kept)))
            .Concat(optimizer.State().Select(item => KeyValuePair.Create(Moments + item.Key, item.Value)))
            .Append(KeyValuePair.Create(LossCurve, Curve(losses)))
            .Append(KeyValuePair.Create(ValidationCurve, Curve(validation)));
        string counters = string.Create(CultureInfo.InvariantCulture, $"{Step} {Targets} {BestStep} {EvaluationsSinceBest} {bestLoss:R}");
        SafetensorsWriter.Write(path, all, new Dictionary<string, string> { [KeyEntry] = key, [CountersEntry] = counters });
    }

    /// <summary>Goes on from a file; one that is not there, damaged or of other work is as none.</summary>
    /// <param name="path">The file, or null.</param>
    /// <param name="key">What the work depends on.</param>
    public void Restore(string? path, string key)
    {
        if (path is null || !File.Exists(path))
        {
            return;
        }

        try
        {
            using var file = SafetensorsFile.Open(path);
            if (file.Metadata.GetValueOrDefault(KeyEntry) == key && file.Metadata.TryGetValue(CountersEntry, out string? counters) && tensors.All(tensor => file.Contains(Trained + tensor.Name)))
            {
                Read(file, counters.Split(' '));
            }
        }
        catch (PipelineException)
        {
            // A damaged checkpoint is worth nothing: training begins anew.
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Forget();

    private void Read(SafetensorsFile file, string[] counters)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        foreach (var tensor in tensors)
        {
            using var value = file.Read(Trained + tensor.Name);
            tensor.Value.copy_(value);
        }

        if (tensors.Count > 0 && file.Contains(Best + tensors[0].Name))
        {
            best = [.. tensors.Select(tensor => file.Read(Best + tensor.Name).to(tensor.Value.device).DetachFromDisposeScope())];
        }

        var device = tensors[0].Value.device;
        optimizer.Restore(file.Names.Where(name => name.StartsWith(Moments, StringComparison.Ordinal))
            .ToDictionary(name => name[Moments.Length..], name => file.Read(name).to(device), StringComparer.Ordinal));
        losses.AddRange(Points(file.Read(LossCurve)));
        validation.AddRange(Points(file.Read(ValidationCurve)));
        Step = int.Parse(counters[0], CultureInfo.InvariantCulture);
        Targets = long.Parse(counters[1], CultureInfo.InvariantCulture);
        BestStep = int.Parse(counters[2], CultureInfo.InvariantCulture);
        EvaluationsSinceBest = int.Parse(counters[3], CultureInfo.InvariantCulture);
        bestLoss = double.Parse(counters[4], CultureInfo.InvariantCulture);
    }

    private void Forget()
    {
        best?.ForEach(tensor => tensor.Dispose());
        best = null;
    }

    private static Tensor Curve(List<LossPoint> points) => tensor(points.SelectMany(point => new[] { point.Step, point.Loss }).ToArray(), [points.Count, 2], dtype: float64);

    private static IEnumerable<LossPoint> Points(Tensor curve)
    {
        double[] values = curve.numel() == 0 ? [] : curve.data<double>().ToArray();
        return Enumerable.Range(0, values.Length / 2).Select(i => new LossPoint((int)values[2 * i], values[(2 * i) + 1]));
    }
}
