using System;
using System.Collections.Generic;
using System.Linq;

namespace PipelineDsl;

/// <summary>Something that a recipe looks for in the weights it leaves: an attribute on the model's class, an entry under <c>analyze</c> in YAML and the options of the search at once.</summary>
/// <remarks>Its settings are its public read-write properties, as those of a <see cref="Step"/>.</remarks>
[AttributeUsage(AttributeTargets.Class)]
public abstract class Analyze : Attribute
{
    /// <summary>The settings that name files of the project, with the files; an empty name is none.</summary>
    public virtual IEnumerable<(string Setting, string File)> Files => [];

    /// <summary>The settings that name members of the model by a pattern, with the patterns.</summary>
    public virtual IEnumerable<(string Setting, string Pattern)> Patterns => [];

    /// <summary>Whether what a setting names by a pattern must be linear layers.</summary>
    public virtual bool NamesLinear(string setting) => true;

    /// <summary>Whether the weights it works on are changed, and not only looked at.</summary>
    public virtual bool Edits => false;

    /// <summary>Whether the layers of these paths are changed too where no step works on them.</summary>
    /// <param name="path">The layer's path.</param>
    /// <param name="kind">What it is.</param>
    public virtual bool EditsUntouched(string path, LayerKinds kind) => false;

    /// <summary>Finds settings that contradict each other.</summary>
    /// <param name="given">The names (as in C#) of the settings that the user wrote.</param>
    /// <param name="isTrained">Whether the recipe trains.</param>
    public virtual IEnumerable<StepProblem> Check(ISet<string> given, bool isTrained) => [];

    /// <summary>Two are equal when they are of one kind and all settings are equal.</summary>
    public override bool Equals(object? obj) => obj is Analyze other && GetType() == other.GetType() && ToString() == other.ToString();

    /// <inheritdoc/>
    public override int GetHashCode() => StringComparer.Ordinal.GetHashCode(ToString());

    /// <summary>The entry with all its settings in one line of YAML: the normal form used in lock files and cache keys.</summary>
    public override string ToString() => AnalysisCatalog.Of(this).Describe(this);
}
