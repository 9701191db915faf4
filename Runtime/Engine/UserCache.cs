namespace PipelineDsl.Runtime.Engine;

/// <summary>Where builds keep what they computed, when the project does not say otherwise.</summary>
internal static class UserCache
{
    /// <summary>The folder of the results: below <c>XDG_CACHE_HOME</c>, or where the system has the user's caches.</summary>
    public static string Folder
    {
        get
        {
            string home = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } chosen
                ? chosen
                : OperatingSystem.IsWindows()
                    ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
                    : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
            return Path.Combine(home, "pipelinedsl", "units");
        }
    }
}
