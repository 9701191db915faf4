namespace PipelineDsl.Runtime.Engine;

/// <summary>A folder for what is not yet, or never will be, a result: gone when disposed, and when its process was killed, at the next time that somebody cleans.</summary>
internal sealed class ScratchFolder : IDisposable
{
    private const string LockSuffix = ".lock";

    private readonly FileStream inUse;

    private ScratchFolder(string folder, FileStream inUse)
    {
        Path = folder;
        this.inUse = inUse;
    }

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>Makes a folder inside another.</summary>
    public static ScratchFolder In(string parent)
    {
        Directory.CreateDirectory(parent);
        while (true)
        {
            string folder = System.IO.Path.Combine(parent, System.IO.Path.GetFileNameWithoutExtension(System.IO.Path.GetRandomFileName()));
            if (Claim.TryTake(folder + LockSuffix, FileOptions.DeleteOnClose) is not { } claim)
            {
                continue;
            }

            // Somebody who cleaned may have met the claim before it was held.
            if (File.Exists(folder + LockSuffix))
            {
                Directory.CreateDirectory(folder);
                return new(folder, claim);
            }

            claim.Dispose();
        }
    }

    /// <summary>Deletes the folders inside another that killed processes left.</summary>
    public static void Clean(string parent)
    {
        if (!Directory.Exists(parent))
        {
            return;
        }

        foreach (string left in Directory.GetFiles(parent, "*" + LockSuffix))
        {
            try
            {
                using var unused = Claim.TryTake(left, FileOptions.DeleteOnClose);
                if (unused is not null)
                {
                    Delete(System.IO.Path.ChangeExtension(left, null));
                }
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                // Somebody else deletes it at this moment, or only its owner may.
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Delete(Path);
        inUse.Dispose();
    }

    private static void Delete(string folder)
    {
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
