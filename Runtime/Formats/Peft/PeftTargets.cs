namespace PipelineDsl.Runtime.Formats.Peft;

/// <summary>Which modules an adapter changes: a list of names, or one regular expression.</summary>
public sealed record PeftTargets
{
    private PeftTargets(IReadOnlyList<string>? names, string? expression)
    {
        Names = names;
        Expression = expression;
    }

    /// <summary>Names that a module has, or ends with after a dot; null for an expression.</summary>
    public IReadOnlyList<string>? Names { get; }

    /// <summary>A regular expression for the whole name; null for names.</summary>
    public string? Expression { get; }

    /// <summary>Modules with a name, or with a name that ends with one of these after a dot.</summary>
    public static PeftTargets Named(params IReadOnlyList<string> names) => new(names, null);

    /// <summary>Modules whose whole name matches.</summary>
    public static PeftTargets Matching(string expression) => new(null, expression);

    /// <summary>Whether a module is among them.</summary>
    /// <exception cref="ArgumentException">The expression is none.</exception>
    public bool Contains(string module) =>
        Expression is null ? Names!.Any(name => PeftPattern.IsNamed(module, name)) : PeftPattern.IsFullMatch(module, Expression);

    /// <summary>The first target that hits no module, or null.</summary>
    internal string? Idle(IReadOnlyCollection<string> modules) =>
        Expression is null ? Names!.FirstOrDefault(name => !modules.Any(module => PeftPattern.IsNamed(module, name)))
        : modules.Any(Contains) ? null
        : Expression;
}
