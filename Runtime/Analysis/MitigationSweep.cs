namespace PipelineDsl.Runtime.Analysis;

/// <summary>A tuned model with its intruders scaled by λ, as evaluated.</summary>
/// <param name="Lambda">λ; 1 is the tuned model itself.</param>
/// <param name="Task">The metric of the task that the model was tuned for; higher is better.</param>
/// <param name="PretrainingLoss">The loss on what the base model was trained on.</param>
public sealed record SweepPoint(double Lambda, double Task, double PretrainingLoss);

/// <summary>The choice of λ by evaluation (arXiv:2410.21228).</summary>
/// <param name="Points">The evaluated models.</param>
public sealed record MitigationSweep(IReadOnlyList<SweepPoint> Points)
{
    /// <summary>The λ that are tried.</summary>
    public static IReadOnlyList<double> Lambdas { get; } = [0, 0.25, 0.5, 0.75, 0.9, 1];

    /// <summary>Evaluates the model at each of <see cref="Lambdas"/>.</summary>
    /// <param name="evaluate">Evaluates the model whose intruders are scaled by λ: the task's metric, higher being better, and the pre-training loss.</param>
    public static MitigationSweep Run(Func<double, (double Task, double PretrainingLoss)> evaluate) => new([.. Lambdas.Select(lambda =>
    {
        var (task, loss) = evaluate(lambda);
        return new SweepPoint(lambda, task, loss);
    })]);

    /// <summary>The point of the smallest λ whose task metric lies at most the tolerance below that of the tuned model.</summary>
    /// <exception cref="InvalidOperationException">The tuned model (λ = 1) was not evaluated.</exception>
    public SweepPoint Choose(double tolerance)
    {
        var tuned = Points.FirstOrDefault(point => point.Lambda == 1) ?? throw new InvalidOperationException("the drop is measured from lambda 1, which was not evaluated");
        return Points.Where(point => point.Lambda < 1 && tuned.Task - point.Task <= tolerance).MinBy(point => point.Lambda) ?? tuned;
    }
}
