namespace PipelineDsl.Runtime.Engine;

/// <summary>A server that keeps results for several machines.</summary>
public sealed record CacheServer
{
    /// <summary>The environment variable with the token that the server asks for.</summary>
    public const string TokenVariable = "PIPELINEDSL_CACHE_TOKEN";

    /// <summary>Where <c>ac/</c> and <c>cas/</c> lie: <c>http</c> or <c>https</c>, without user name, query and fragment.</summary>
    public required Uri Address { get; init; }

    /// <summary>Whether results are only taken from there and never put.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Sent with every request as a bearer's; never in a message. Null sends none.</summary>
    public string? Token { get; init; }

    /// <summary>The file that says to use the server, for the warning that it cannot be used.</summary>
    public required string Place { get; init; }

    /// <summary>How long the server may be silent.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Reads an address; null when it is none that can be used.</summary>
    public static Uri? ParseAddress(string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var address) && address is { Scheme: "http" or "https", Host.Length: > 0, UserInfo: "", Query: "", Fragment: "" }
            ? new Uri(address.AbsoluteUri.TrimEnd('/') + "/")
            : null;

    /// <summary>Whether a token can stand in a header.</summary>
    public static bool IsToken(string text) => text.Length > 0 && text.All(character => character is > ' ' and <= '~');
}
