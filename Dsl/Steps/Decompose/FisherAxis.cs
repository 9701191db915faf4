namespace PipelineDsl;

/// <summary>Which side of a weight carries the Fisher information.</summary>
public enum FisherAxis
{
    /// <summary>Input features, as the paper has it (a row of its weight is an input feature).</summary>
    Input,

    /// <summary>Output features.</summary>
    Output,

    /// <summary>Both; exact for a Fisher matrix of rank one.</summary>
    Both,
}
