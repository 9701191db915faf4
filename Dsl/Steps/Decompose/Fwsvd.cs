using System.Collections.Generic;
using System.Linq;

namespace PipelineDsl;

/// <summary>Fisher-weighted singular value decomposition (FWSVD, arXiv:2207.00112): what the loss is sensitive to is kept best.</summary>
public sealed class Fwsvd : Decompose
{
    /// <summary>A step whose orientation is <see cref="Orientation.Fisher"/>.</summary>
    public Fwsvd() => Orientation = Orientation.Fisher;

    /// <summary>Which side of the weight carries the Fisher information.</summary>
    public FisherAxis Axis { get; set; }

    /// <summary>The smallest weight of a feature, as a share of the largest.</summary>
    [Within(0, 1, ExclusiveMinimum = true)]
    public double Floor { get; set; } = 1e-6;

    /// <summary>Which factor carries the singular values.</summary>
    public SigmaFuse SigmaFuse { get; set; }

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.Linear;

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given) =>
        base.Check(layer, given).Concat(CheckOrientation(Orientation.Fisher));
}
