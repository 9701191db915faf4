namespace PipelineDsl;

/// <summary>A step that leaves a stack: a sum of blocks of which any leading part is a weight, so that a model can be loaded in many sizes.</summary>
public interface IStackStep
{
    /// <summary>What decides which block comes next; one choice a model.</summary>
    StackOrder Order { get; }

    /// <summary>Samples of the calibration data that blocks are scored on; one choice a model.</summary>
    int ScoringSamples { get; }
}

/// <summary>The order in which the blocks of all layers are added as memory grows.</summary>
public enum StackOrder
{
    /// <summary>Level by level: every layer's second block before any third, the most useful first (arXiv:2410.23918).</summary>
    Official,

    /// <summary>The next block of any layer that lowers the loss most for its bytes.</summary>
    GainPerByte,
}
