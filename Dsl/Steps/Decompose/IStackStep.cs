namespace PipelineDsl;

/// <summary>A step that leaves a stack: a sum of blocks of which any leading part is a weight, so that a model can be loaded in many sizes.</summary>
public interface IStackStep
{
    /// <summary>The most blocks of a layer.</summary>
    int Blocks { get; }

    /// <summary>What decides which block comes next; one choice a model.</summary>
    StackOrder Order { get; }

    /// <summary>Samples of the calibration data that blocks are scored on; one choice a model.</summary>
    int ScoringSamples { get; }
}

/// <summary>What decides which block is added next as memory grows. Every layer gets its second block before any gets its third.</summary>
public enum StackOrder
{
    /// <summary>The lowest perplexity that one more block leaves (arXiv:2410.23918).</summary>
    Official,

    /// <summary>The loss that one more block takes away for each of its bytes.</summary>
    GainPerByte,
}
