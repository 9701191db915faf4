namespace PipelineDsl.Runtime.Adapters;

/// <summary>Where the factors of <see cref="Lora"/> start.</summary>
public enum LoraStart
{
    /// <summary>A uniform in ±1 / √inputs and B zero; of a table A zero and B normal.</summary>
    Uniform,

    /// <summary>A normal with deviation 1 / r and B zero; of a table A zero and B normal.</summary>
    Gaussian,

    /// <summary>The leading singular directions of the weight, of which the rest stays frozen (PiSSA).</summary>
    Pissa,

    /// <summary>The first columns of the weight's QR decomposition, beside what they leave (OLoRA). The scaling multiplies the product, so what is taken from the weight is s times its first r columns' share.</summary>
    Olora,
}
