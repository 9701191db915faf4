namespace PipelineDsl.Runtime.Formats.Gguf;

/// <summary>An element type of the GGUF format: plain numbers, or blocks of neighbours in a row.</summary>
/// <param name="Id">The number in the file.</param>
/// <param name="Name">The name that llama.cpp gives it.</param>
/// <param name="BlockElements">Values a block; rows are whole blocks.</param>
/// <param name="BlockBytes">Bytes a block.</param>
internal sealed record GgmlType(uint Id, string Name, int BlockElements, int BlockBytes)
{
    public static readonly GgmlType F32 = new(0, "F32", 1, 4);
    public static readonly GgmlType F16 = new(1, "F16", 1, 2);
    public static readonly GgmlType Q4_0 = new(2, "Q4_0", Q40Block.Elements, Q40Block.Bytes);
    public static readonly GgmlType Q8_0 = new(8, "Q8_0", Q80Block.Elements, Q80Block.Bytes);
    public static readonly GgmlType Q4_K = new(12, "Q4_K", Q4KBlock.Elements, Q4KBlock.Bytes);
    public static readonly GgmlType Q6_K = new(14, "Q6_K", Q6KBlock.Elements, Q6KBlock.Bytes);
    public static readonly GgmlType BF16 = new(30, "BF16", 1, 2);

    /// <summary>All types of the format; those that were removed (4, 5, 31 to 33, 36 to 38) are none of them.</summary>
    public static IReadOnlyList<GgmlType> All { get; } =
    [
        F32, F16, Q4_0, new(3, "Q4_1", 32, 20), new(6, "Q5_0", 32, 22), new(7, "Q5_1", 32, 24), Q8_0, new(9, "Q8_1", 32, 36),
        new(10, "Q2_K", 256, 84), new(11, "Q3_K", 256, 110), Q4_K, new(13, "Q5_K", 256, 176), Q6_K, new(15, "Q8_K", 256, 292),
        new(16, "IQ2_XXS", 256, 66), new(17, "IQ2_XS", 256, 74), new(18, "IQ3_XXS", 256, 98), new(19, "IQ1_S", 256, 50), new(20, "IQ4_NL", 32, 18),
        new(21, "IQ3_S", 256, 110), new(22, "IQ2_S", 256, 82), new(23, "IQ4_XS", 256, 136), new(24, "I8", 1, 1), new(25, "I16", 1, 2), new(26, "I32", 1, 4),
        new(27, "I64", 1, 8), new(28, "F64", 1, 8), new(29, "IQ1_M", 256, 56), BF16, new(34, "TQ1_0", 256, 54), new(35, "TQ2_0", 256, 66), new(39, "MXFP4", 32, 17),
    ];

    private static readonly Dictionary<uint, GgmlType> ById = All.ToDictionary(type => type.Id);

    /// <summary>The type of a number, or null when the format has none.</summary>
    public static GgmlType? Find(uint id) => ById.GetValueOrDefault(id);

    /// <inheritdoc/>
    public override string ToString() => Name;
}
