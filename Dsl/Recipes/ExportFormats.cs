using System;

namespace PipelineDsl;

/// <summary>Layouts of other programs that an artifact is also written in.</summary>
[Flags]
public enum ExportFormats
{
    /// <summary>No other layout.</summary>
    None = 0,

    /// <summary>A GPTQ checkpoint: <c>model.safetensors</c> with <c>qweight</c>, <c>qzeros</c>, <c>scales</c> and <c>g_idx</c>; 2, 3, 4 or 8 bits, one number of bits and one group size for all layers.</summary>
    Gptq = 1,

    /// <summary>A compressed-tensors checkpoint of the layout <c>pack-quantized</c>; 2, 4 or 8 bits.</summary>
    CompressedTensors = 2,

    /// <summary>A bitsandbytes checkpoint with NormalFloat weights of 4 bits.</summary>
    Bitsandbytes = 4,

    /// <summary><c>model.gguf</c> for llama.cpp; models of the llama architecture.</summary>
    Gguf = 8,
}
