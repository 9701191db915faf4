namespace PipelineDsl.Runtime.Formats;

/// <summary>What tells one state of a file from another without reading it.</summary>
/// <param name="Path">Full path.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Created">When it was made, UTC.</param>
/// <param name="Written">When it was last written to, UTC.</param>
internal sealed record FileStamp(string Path, long Bytes, DateTime Created, DateTime Written)
{
    /// <summary>The later of its times, UTC: a copy may keep the other one of its source.</summary>
    public DateTime Changed => Created > Written ? Created : Written;
}
