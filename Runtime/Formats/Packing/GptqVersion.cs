namespace PipelineDsl.Runtime.Formats.Packing;

/// <summary>How a GPTQ checkpoint stores zero points; a checkpoint says so in <c>checkpoint_format</c>.</summary>
internal enum GptqVersion
{
    /// <summary><c>gptq</c>: the zero point less one, to which every reader adds one. A zero point of 0 cannot be stored.</summary>
    V1,

    /// <summary><c>gptq_v2</c>: the zero point itself.</summary>
    V2,
}
