namespace PipelineDsl.Benchmarks;

/// <summary>The folder of models and texts that are too large for the repository.</summary>
internal static class DataFolder
{
    private const string Variable = "PIPELINEDSL_DATA";

    /// <summary>The folder, or null, with a word on the console, where it is not there.</summary>
    public static string? Find()
    {
        string? folder = Environment.GetEnvironmentVariable(Variable);
        if (!string.IsNullOrEmpty(folder) && Directory.Exists(Path.Combine(folder, "gsmbard-4m")))
        {
            return folder;
        }

        Console.WriteLine($"gsmbard-4m is left out: {Variable} does not name the folder that holds gsmbard-4m and text-tinyshakespeare");
        return null;
    }
}
