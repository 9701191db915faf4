using System;
using Microsoft.CodeAnalysis.Diagnostics;

namespace PipelineDsl.Generators.Models;

/// <summary>What the project's properties say.</summary>
/// <param name="Directory">The project's folder, with a slash at its end, or nothing.</param>
/// <param name="AllowOutsidePaths">Whether recipes may name files outside the project.</param>
internal sealed record ProjectOptions(string Directory, bool AllowOutsidePaths)
{
    public static ProjectOptions Read(AnalyzerConfigOptions options)
    {
        options.TryGetValue("build_property.ProjectDir", out string? directory);
        options.TryGetValue("build_property.PipelineDslAllowOutsidePaths", out string? outside);
        string folder = Slashes(directory ?? "").TrimEnd('/');
        return new(folder.Length == 0 ? "" : folder + "/", string.Equals(outside, "true", StringComparison.OrdinalIgnoreCase));
    }

    /// <summary>A file's path from the project's folder, with forward slashes, so that what is generated names no machine.</summary>
    public string Relative(string path)
    {
        string file = Slashes(path);
        string up = "";
        for (string folder = Directory; folder.Length > 0; folder = Parent(folder))
        {
            if (file.StartsWith(folder, StringComparison.OrdinalIgnoreCase))
            {
                return up + file.Substring(folder.Length);
            }

            up += "../";
        }

        return file.StartsWith("/", StringComparison.Ordinal) || file.IndexOf(':') >= 0 ? file.Substring(file.LastIndexOf('/') + 1) : file;
    }

    private static string Parent(string folder)
    {
        int slash = folder.Length < 2 ? -1 : folder.LastIndexOf('/', folder.Length - 2);
        return folder.Substring(0, slash + 1);
    }

    private static string Slashes(string path) => path.Replace('\\', '/');
}
