using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace PipelineDsl;

/// <summary>What steps share that store a value in a number of bits.</summary>
public abstract class FewBits : Step
{
    private int bits;

    /// <summary>Bits a value. Where they are left out, a recipe's budget chooses them; without a budget they are the method's usual number.</summary>
    [Within(2, 8)]
    public int Bits
    {
        get => bits > 0 ? bits : UsualBits;
        set => bits = value;
    }

    /// <inheritdoc/>
    public override Stage Stage => Stage.Quantize;

    /// <inheritdoc/>
    public override bool IsOpen => bits == 0;

    /// <inheritdoc/>
    public override string ChoiceName => Bits.ToString(CultureInfo.InvariantCulture) + " bits";

    /// <inheritdoc/>
    public override IReadOnlyList<Step> Candidates(LayerShape layer)
    {
        var range = StepCatalog.Of(this).Settings.First(setting => setting.PropertyName == nameof(Bits)).Range!;
        return !IsOpen ? [] : [.. Enumerable.Range((int)range.Minimum, (int)(range.Maximum - range.Minimum) + 1).Select(WithBits).Where(step => !step.Check(layer, new HashSet<string>()).Any())];
    }

    /// <summary>The bits of a step that says nothing about them.</summary>
    private protected virtual int UsualBits => 4;

    private FewBits WithBits(int number)
    {
        var step = (FewBits)Copy();
        step.bits = number;
        return step;
    }
}
