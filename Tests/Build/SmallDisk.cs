using System.Diagnostics;

namespace PipelineDsl.Build.Tests;

/// <summary>A file system of its own for a test: a small one, or a folder that can only be read. It takes Linux and the right to mount.</summary>
internal sealed class SmallDisk : IDisposable
{
    private readonly string folder;

    private SmallDisk(string folder) => this.folder = folder;

    /// <summary>Puts an empty file system of so many kilobytes on a folder.</summary>
    public static SmallDisk Of(int kilobytes, string folder)
    {
        Directory.CreateDirectory(folder);
        Mount("-t", "tmpfs", "-o", $"size={kilobytes}k", "tmpfs", folder);
        return new(folder);
    }

    /// <summary>Makes a folder one that can only be read, whoever writes.</summary>
    public static SmallDisk ReadOnly(string folder)
    {
        Mount("--bind", folder, folder);
        var disk = new SmallDisk(folder);
        Mount("-o", "remount,ro,bind", folder);
        return disk;
    }

    /// <inheritdoc/>
    public void Dispose() => Run("umount", folder);

    private static void Mount(params string[] arguments)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.UserName == "root", "a file system of its own takes Linux and root");
        Assert.SkipUnless(Run("mount", arguments) == 0, "this system lets nobody mount a file system");
    }

    private static int Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode;
    }
}
