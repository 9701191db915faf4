using System;
using System.Collections.Generic;
using System.Linq;

namespace PipelineDsl;

/// <summary>One word of the recipe language: an attribute on a member, an entry in YAML and the options of a solver at once.</summary>
/// <remarks>
/// A step's settings are its public read-write properties. <see cref="StepCatalog"/> reads them, so a new method is
/// one class here and one solver in the runtime.
/// </remarks>
[AttributeUsage(AttributeTargets.Field | AttributeTargets.Property, AllowMultiple = true)]
public abstract class Step : Attribute
{
    /// <summary>What the engine must collect before this step can be solved, on whatever layer.</summary>
    public virtual StatisticKinds Needs => StatisticKinds.None;

    /// <summary>What of <see cref="Needs"/> a layer of this shape takes: a table is looked up where a matrix is multiplied.</summary>
    public virtual StatisticKinds NeedsOf(LayerShape layer) => Needs;

    /// <summary>Whether the step learns from calibration data: through statistics, or by training on what flows through the model.</summary>
    public virtual bool NeedsCalibration => Needs != StatisticKinds.None;

    /// <summary>What this step can be applied to.</summary>
    public virtual LayerKinds AppliesTo => LayerKinds.Linear;

    /// <summary>The place in a layer's chain of steps; a step may only follow steps of a lower stage.</summary>
    public abstract Stage Stage { get; }

    /// <summary>Whether a recipe's <c>train</c> trains what this step leaves.</summary>
    public virtual bool IsTrained => false;

    /// <summary>Whether a number is left out that a recipe's budget may choose.</summary>
    public virtual bool IsOpen => false;

    /// <summary>Whether the step stores a bias of its own in place of the layer's.</summary>
    public virtual bool ReplacesBias(LayerShape layer) => false;

    /// <summary>The resolved steps that a budget may choose among, from the smallest result to the largest; none unless the step <see cref="IsOpen"/>.</summary>
    /// <param name="layer">The layer's shape.</param>
    public virtual IReadOnlyList<Step> Candidates(LayerShape layer) => [];

    /// <summary>Whether a budget may also leave an open step out, which keeps what there is before it.</summary>
    public virtual bool MayBeLeftOut => false;

    /// <summary>What tells a candidate from the others, in words that mean the same in every layer: <c>3 bits</c>.</summary>
    public virtual string ChoiceName => ToString();

    /// <summary>Whether this step leaves no matrix that a later step could work on.</summary>
    public virtual bool EndsChain => false;

    /// <summary>Finds settings that contradict each other or do not fit the layer.</summary>
    /// <param name="layer">The layer's shape, or null where it is not known yet.</param>
    /// <param name="given">The names (as in C#) of the settings that the user wrote.</param>
    public virtual IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given) => [];

    /// <summary>The same step with every number that depends on the layer filled in.</summary>
    public virtual Step Resolve(LayerShape layer) => this;

    /// <summary>The payload bytes of the weight after this step, given the number of values it holds before.</summary>
    /// <param name="layer">The layer's shape.</param>
    /// <param name="factors">The matrices the weight consists of before this step.</param>
    public abstract IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors);

    /// <summary>Two steps are equal when they are of one kind and all settings are equal.</summary>
    public override bool Equals(object? obj) => obj is Step other && GetType() == other.GetType() && ToString() == other.ToString();

    /// <inheritdoc/>
    public override int GetHashCode() => StringComparer.Ordinal.GetHashCode(ToString());

    /// <summary>The step with all its settings in one line of YAML: the normal form used in plans and cache keys.</summary>
    public override string ToString() => StepCatalog.Describe(this);

    /// <summary>A shallow copy.</summary>
    protected Step Copy() => (Step)MemberwiseClone();
}
