namespace PipelineDsl;

/// <summary>Whose output a training method holds to the original's.</summary>
public enum ReconstructionScope
{
    /// <summary>The block that the layer is part of: an element of the model's repeated container, such as <c>layers.3</c>. All its layers train together.</summary>
    Block,

    /// <summary>The layer's own; each layer trains alone.</summary>
    Layer,
}
