namespace Stories;

/// <summary>A text that a model wrote.</summary>
/// <param name="Text">The prompt and what followed.</param>
/// <param name="Tokens">How many tokens the model wrote.</param>
/// <param name="Time">How long it took.</param>
public sealed record Story(string Text, int Tokens, TimeSpan Time)
{
    /// <summary>The model's speed.</summary>
    public double TokensPerSecond => Tokens / Time.TotalSeconds;
}
