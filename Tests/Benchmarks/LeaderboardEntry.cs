namespace PipelineDsl.Benchmarks;

/// <summary>One way to compress one model, and what it costs.</summary>
/// <param name="Model">The model and the text.</param>
/// <param name="Method">The orientation of the decomposition, or the step that quantises.</param>
/// <param name="Allocation">How the bytes were shared out among the layers: <c>uniform</c>, <c>predicted</c>, <c>measured</c>, or <c>none</c>.</param>
/// <param name="Setting">The share of the linear layers' bytes that was asked for, or the bits.</param>
/// <param name="Bytes">Bytes of the linear layers.</param>
/// <param name="Share">These bytes over the original ones.</param>
/// <param name="Quality">Perplexity on the test text, or accuracy on the test images.</param>
internal sealed record LeaderboardEntry(string Model, string Method, string Allocation, string Setting, long Bytes, double Share, double Quality)
{
    /// <summary>True bits a weight of the linear layers, everything that is stored counted.</summary>
    public double Bits => 32 * Share;

    /// <summary>Whether <see cref="Quality"/> is an accuracy.</summary>
    public bool HigherIsBetter { get; init; }

    /// <summary>Whether the model is better here than in another entry.</summary>
    public bool IsBetterThan(LeaderboardEntry other) => HigherIsBetter ? Quality > other.Quality : Quality < other.Quality;

    /// <summary>The line of the plot that the entry is a point of.</summary>
    public string Series => Allocation == "none" ? Method : $"{Method}, {Allocation}";
}
