namespace PipelineDsl.Runtime.Engine;

/// <summary>The right to work on something that other processes may be about to work on as well.</summary>
/// <remarks>A file that is held open; the system lets go of it when a process dies, however it dies.</remarks>
internal static class Claim
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(30);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    /// <summary>Takes a claim, waiting for as long as others have it.</summary>
    /// <param name="file">The file that stands for it; its folder is created, and it stays.</param>
    /// <param name="waiting">Called once when it takes longer than a moment.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <returns>The claim, until it is disposed.</returns>
    /// <exception cref="IOException">The file cannot be opened for another reason than that others have it.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder's rights do not allow it.</exception>
    public static IDisposable Take(string file, Action? waiting = null, CancellationToken cancellation = default) => Wait(file, () => TryTake(file), waiting, cancellation);

    /// <summary>Takes a part of a claim: others may take parts as well, but nobody the whole.</summary>
    /// <inheritdoc cref="Take"/>
    public static IDisposable Share(string file, Action? waiting = null, CancellationToken cancellation = default) => Wait(file, () => TryOpen(file, FileAccess.Read, FileShare.Read, FileOptions.None), waiting, cancellation);

    private static FileStream Wait(string file, Func<FileStream?> take, Action? waiting, CancellationToken cancellation)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        long started = Environment.TickCount64;
        bool told = false;
        while (true)
        {
            if (take() is { } claim)
            {
                return claim;
            }

            if (!told && Environment.TickCount64 - started > Patience.TotalMilliseconds)
            {
                told = true;
                waiting?.Invoke();
            }

            cancellation.WaitHandle.WaitOne(Pause);
            cancellation.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Takes a claim that nobody has; null when somebody does.</summary>
    /// <param name="file">The file that stands for it.</param>
    /// <param name="options">What becomes of the file.</param>
    public static FileStream? TryTake(string file, FileOptions options = FileOptions.None) => TryOpen(file, FileAccess.ReadWrite, FileShare.None, options);

    private static FileStream? TryOpen(string file, FileAccess access, FileShare share, FileOptions options)
    {
        try
        {
            return new(file, FileMode.OpenOrCreate, access, share, 1, options);
        }
        catch (IOException failure) when (IsTaken(failure))
        {
            return null;
        }
    }

    /// <summary>A sharing or lock violation on Windows (32, 33), a lock that would block on Linux (11) and macOS (35).</summary>
    private static bool IsTaken(IOException failure) => failure.GetType() == typeof(IOException) && (failure.HResult & 0xFFFF) is 32 or 33 or 11 or 35;
}
