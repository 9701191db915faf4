using System.Text.Json;

namespace PipelineDsl.Host;

/// <summary>What the build asks the worker to do; written by the build task.</summary>
internal sealed record Request
{
    private static readonly JsonSerializerOptions Options = new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase, RespectNullableAnnotations = true };

    /// <summary>The version of this layout.</summary>
    public required int Schema { get; init; }

    /// <summary><c>build</c>, <c>plan</c> or <c>evaluate</c>.</summary>
    public string Verb { get; init; } = "build";

    /// <summary>The user's assembly, staged beside the assemblies it needs.</summary>
    public required string Assembly { get; init; }

    /// <summary>The folder that recipes' paths are relative to.</summary>
    public required string ProjectDirectory { get; init; }

    /// <summary>The project file, for errors that concern its properties.</summary>
    public required string ProjectFile { get; init; }

    /// <summary>The folder that gets one folder of files a recipe.</summary>
    public required string OutputDirectory { get; init; }

    /// <summary>The file that gets one line <c>source|target</c> an artifact file.</summary>
    public required string ArtifactsList { get; init; }

    /// <summary>The file that gets one line a unit of work.</summary>
    public required string Journal { get; init; }

    /// <summary>The file that gets what a plan or an evaluation found; empty for a build.</summary>
    public string Result { get; init; } = "";

    /// <summary>The folder of cached results; empty for the user's own.</summary>
    public required string CacheDirectory { get; init; }

    /// <summary>The most memory to take, such as <c>2 GB</c>, or empty.</summary>
    public string MemoryLimit { get; init; } = "";

    /// <summary>The address of a server of cached results, or empty.</summary>
    public string CacheUrl { get; init; } = "";

    /// <summary>Whether results are only taken from that server.</summary>
    public bool CacheReadOnly { get; init; }

    /// <summary><c>auto</c>, <c>cpu</c> or <c>cuda</c>.</summary>
    public required string Device { get; init; }

    /// <summary>Layers to solve at once; 0 takes what the build granted.</summary>
    public int Threads { get; init; }

    /// <summary>Cores that the build granted.</summary>
    public int Cores { get; init; } = 1;

    /// <summary>Whether a plan that differs from its lock is an error.</summary>
    public bool LockedMode { get; init; }

    /// <summary>Whether locks are rewritten.</summary>
    public bool UpdateLock { get; init; }

    /// <summary>The build's process; the worker leaves when it is gone.</summary>
    public int ParentProcess { get; init; }

    /// <summary>Reads a request.</summary>
    public static Request Read(string path) => JsonSerializer.Deserialize<Request>(File.ReadAllText(path), Options)
        ?? throw new JsonException("the request is empty");
}
