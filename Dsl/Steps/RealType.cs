namespace PipelineDsl;

/// <summary>How a real number is stored.</summary>
public enum RealType
{
    /// <summary>32-bit IEEE float.</summary>
    Float32,

    /// <summary>16 bits with the range of 32.</summary>
    Bfloat16,

    /// <summary>16-bit IEEE float.</summary>
    Float16,
}
