using System;
using System.Collections.Generic;
using System.Linq;

namespace PipelineDsl;

/// <summary>Everything that recipes can look for, read off its classes once, as <see cref="StepCatalog"/> reads the steps.</summary>
public static class AnalysisCatalog
{
    /// <summary>All of it, by name.</summary>
    public static IReadOnlyList<WordDescriptor> Analyses { get; } = WordDescriptor.ReadAll(typeof(Analyze), type => new WordDescriptor(type));

    /// <summary>The descriptor of an entry.</summary>
    /// <exception cref="ArgumentException">Its class is not part of the language.</exception>
    public static WordDescriptor Of(Analyze analysis) => Analyses.FirstOrDefault(known => known.Type == analysis.GetType())
        ?? throw new ArgumentException($"'{analysis.GetType()}' is not a word of the language.", nameof(analysis));
}
