using System.Text.Json.Nodes;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>y = Q(x) Wᵀ: a weight whose inputs are rounded to few bits as they come, each vector and group by itself (W4A4).</summary>
/// <remarks>
/// Dense it is W, but running it is not linear. With an offset o, which makes inputs non-negative for unsigned codes, it is (Q(x + o) − o) Wᵀ: what a kernel
/// gets by adding o to its inputs and taking W o from the bias.
/// </remarks>
public sealed class QuantizedInputs : Expression
{
    /// <summary>A form with rounded inputs.</summary>
    /// <param name="inputs">How inputs are rounded.</param>
    /// <param name="inner">W [rows, columns]; the expression takes ownership.</param>
    /// <param name="offset">o [columns], or null for none; the expression takes ownership.</param>
    public QuantizedInputs(DynamicGrid inputs, Expression inner, Tensor? offset = null)
    {
        if ((inputs.Problem ?? (offset is null || offset.shape.SequenceEqual([inner.Columns]) ? null : "the offset does not fit the weight")) is { } problem)
        {
            throw new ArgumentException(problem, nameof(inputs));
        }

        Inputs = inputs;
        Inner = inner;
        Offset = offset?.DetachFromDisposeScope();
    }

    /// <summary>How inputs are rounded.</summary>
    public DynamicGrid Inputs { get; }

    /// <summary>What rounded inputs are multiplied by.</summary>
    public Expression Inner { get; }

    /// <summary>What is added to inputs before they are rounded [columns], owned by this expression, or null.</summary>
    public Tensor? Offset { get; }

    /// <inheritdoc/>
    public override bool IsLinear => false;

    /// <inheritdoc/>
    public override long Rows => Inner.Rows;

    /// <inheritdoc/>
    public override long Columns => Inner.Columns;

    /// <inheritdoc/>
    public override string Form => "quantizedInputs";

    /// <inheritdoc/>
    public override IReadOnlyList<Expression> Parts => [Inner];

    /// <inheritdoc/>
    public override Tensor Materialize() => Inner.Materialize();

    /// <summary>The inputs that W sees [..., columns]; the caller owns them.</summary>
    public Tensor Round(Tensor x)
    {
        using var scope = NewDisposeScope();
        var offset = Offset?.to(x.dtype, x.device);
        return (offset is null ? Inputs.Round(x) : Inputs.Round(x + offset) - offset).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Apply(Tensor x)
    {
        using var rounded = Round(x);
        return Inner.Apply(rounded);
    }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> Leaves() => Offset is null ? Inner.LeavesOf("inner") : [.. Inner.LeavesOf("inner"), ("offset", Offset)];

    /// <inheritdoc/>
    public override JsonObject Describe() => new()
    {
        ["columns"] = Columns,
        ["form"] = Form,
        ["format"] = SettingDescriptor.Format(Inputs.Format),
        ["groupSize"] = Inputs.GroupSize,
        ["hasOffset"] = Offset is not null,
        ["inner"] = Inner.Describe(),
        ["rows"] = Rows,
    };

    /// <inheritdoc/>
    public override Expression RewriteDense(Func<Dense, Expression> rewrite) => new QuantizedInputs(Inputs, Inner.RewriteDense(rewrite), Offset?.alias());

    internal static QuantizedInputs Read(DescriptionReader description)
    {
        var inputs = new DynamicGrid(description.Choice<DynamicFormat>("format"), (int)Math.Clamp(description.Integer("groupSize"), int.MinValue, int.MaxValue));
        return description.Owning(leaves => new QuantizedInputs(inputs, leaves.Part("inner"), description.Flag("hasOffset") ? leaves.Tensor("offset", [description.Columns], Dtypes.Real) : null));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Offset?.Dispose();
        }

        base.Dispose(disposing);
    }
}
