using System.Collections.Generic;
using System.Linq;

namespace PipelineDsl;

/// <summary>Truncation-aware whitening (SVD-LLM, arXiv:2403.07378): the smallest possible error of the outputs on the calibration data.</summary>
/// <remarks>As <see cref="Decompose"/> in the whitened orientation, with the singular values where the paper has them.</remarks>
public sealed class SvdLlm : Decompose
{
    /// <summary>A step whose orientation is <see cref="Orientation.Whitened"/>.</summary>
    public SvdLlm() => Orientation = Orientation.Whitened;

    /// <summary>Which factor carries the singular values.</summary>
    public SigmaFuse SigmaFuse { get; set; }

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.Linear;

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given) =>
        base.Check(layer, given).Concat(CheckOrientation(Orientation.Whitened));
}
