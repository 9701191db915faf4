namespace PipelineDsl.Runtime.Formats.Peft;

/// <summary>The adapters that a folder may hold.</summary>
public enum PeftType
{
    /// <summary>LoRA, with rsLoRA and DoRA as settings of it (arXiv 2106.09685, 2312.03732, 2402.09353).</summary>
    Lora,

    /// <summary>MiSS, once called Bone (arXiv 2409.15371): one shared shard for all slices of the input.</summary>
    Miss,
}
