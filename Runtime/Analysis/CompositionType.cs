namespace PipelineDsl.Runtime.Analysis;

/// <summary>Which input of a later head an earlier head feeds.</summary>
public enum CompositionType
{
    /// <summary>Its queries: CS(OV, QK).</summary>
    Query,

    /// <summary>Its keys: CS(OV, QKᵀ).</summary>
    Key,

    /// <summary>Its values: CS(OV, OV).</summary>
    Value,
}
