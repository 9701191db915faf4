namespace PipelineDsl.Tasks;

/// <summary>The C++ library of a system, as a program would load it.</summary>
/// <param name="library">Its file.</param>
/// <param name="newest">The newest version of GLIBCXX that it knows.</param>
/// <param name="shimFolder">The folder of the shim that makes up for what it lacks, made or not; null when it lacks nothing.</param>
public sealed class LibStdCpp(string library, Version newest, string? shimFolder)
{
    /// <summary>Its file.</summary>
    public string Library { get; } = library;

    /// <summary>The newest version of GLIBCXX that it knows.</summary>
    public Version Newest { get; } = newest;

    /// <summary>The folder of the shim that makes up for what it lacks, made or not; null when it lacks nothing.</summary>
    public string? ShimFolder { get; } = shimFolder;
}
