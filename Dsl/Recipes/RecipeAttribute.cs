using System;

namespace PipelineDsl;

/// <summary>Makes a model class the start of a recipe: the steps on its members, and on the members of the modules inside it, are the recipe's steps.</summary>
/// <param name="name">The artifact's name: letters, digits, <c>-</c> and <c>_</c>.</param>
[AttributeUsage(AttributeTargets.Class)]
public sealed class RecipeAttribute(string name) : Attribute
{
    /// <summary>The artifact's name.</summary>
    public string Name { get; } = name;

    /// <summary>The weights, relative to the project: a safetensors file or a folder of shards.</summary>
    public string Weights { get; set; } = "";

    /// <summary>The tokenizer, relative to the project; empty takes <c>tokenizer.json</c> beside the weights.</summary>
    public string Tokenizer { get; set; } = "";

    /// <summary>The random seed that every random choice derives from.</summary>
    public long Seed { get; set; }

    /// <summary>How large the artifact may be: <c>600 KB</c>, <c>60%</c> of the layers' bytes, or <c>2.5 bpw</c>; what steps leave open is chosen to fit. Empty means no budget.</summary>
    public string Budget { get; set; } = "";

    /// <summary>How the budget is shared out.</summary>
    public AllocationMethod Allocate { get; set; }

    /// <summary>Layouts of other programs that the artifact is also written in; joined by <c>|</c>, in YAML a list.</summary>
    public ExportFormats Export { get; set; }
}

/// <summary>Names the data that statistics are collected on.</summary>
/// <param name="data">The file, relative to the project: text, or safetensors with <c>input</c> and optionally <c>target</c>.</param>
[AttributeUsage(AttributeTargets.Class)]
public sealed class CalibrateAttribute(string data) : Attribute
{
    /// <summary>The file.</summary>
    public string Data { get; } = data;

    /// <summary>The number of samples; 0 takes all.</summary>
    [Within(0, int.MaxValue)]
    public int Samples { get; set; } = 128;

    /// <summary>Tokens a sample, for text.</summary>
    [Within(2, int.MaxValue)]
    public int SequenceLength { get; set; } = 256;
}

/// <summary>Says how quality is measured, and which loss of it fails the build.</summary>
/// <param name="data">The file, relative to the project.</param>
[AttributeUsage(AttributeTargets.Class)]
public sealed class EvaluateAttribute(string data) : Attribute
{
    /// <summary>The file.</summary>
    public string Data { get; } = data;

    /// <summary>The measure.</summary>
    public Metric Metric { get; set; }

    /// <summary>Tokens a window, for text.</summary>
    [Within(2, int.MaxValue)]
    public int SequenceLength { get; set; } = 256;

    /// <summary>The relative loss of quality that fails the build, as a share (0.05 is 5 %); negative or unset means no limit.</summary>
    [Within(0, double.MaxValue)]
    public double MaxRegression { get; set; } = -1;
}

/// <summary>How quality is measured.</summary>
public enum Metric
{
    /// <summary>exp of the mean negative log-likelihood of the next token; lower is better.</summary>
    Perplexity,

    /// <summary>The mean of the model's own loss; lower is better.</summary>
    Loss,

    /// <summary>The share of right answers; higher is better.</summary>
    Accuracy,
}
