namespace PipelineDsl.Runtime.Engine;

/// <summary>Results that are tried out, in a folder of their own above a store; all but those that are kept are deleted in the end.</summary>
internal sealed class TrialStore : IDisposable
{
    private const string LockSuffix = ".lock";

    private readonly ContentStore beneath;
    private readonly string folder;
    private readonly FileStream inUse;

    /// <summary>Makes a folder inside another, and deletes those that killed processes left there.</summary>
    /// <param name="beneath">The store that is read as well, and that takes what is kept.</param>
    /// <param name="trials">The folder of all trials.</param>
    public TrialStore(ContentStore beneath, string trials)
    {
        this.beneath = beneath;
        Directory.CreateDirectory(trials);
        foreach (string left in Directory.GetFiles(trials, "*" + LockSuffix))
        {
            DeleteUnused(Path.ChangeExtension(left, null));
        }

        folder = Path.Combine(trials, Path.GetFileNameWithoutExtension(Path.GetRandomFileName()));
        inUse = Lock(folder);
        Store = new(folder, beneath);
    }

    /// <summary>Where trials are written.</summary>
    public ContentStore Store { get; }

    /// <summary>Puts a result into the store beneath.</summary>
    public void Keep(string key)
    {
        if (beneath.Find(key) is null && Store.Find(key) is { } file)
        {
            beneath.Put(key, place => File.Copy(file, place));
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        DeleteFolder(folder);
        inUse.Dispose();
    }

    /// <summary>Held as long as the folder is in use; the system lets go of it when a process dies.</summary>
    private static FileStream Lock(string folder) => new(folder + LockSuffix, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose);

    private static void DeleteUnused(string folder)
    {
        try
        {
            using var unused = Lock(folder);
            DeleteFolder(folder);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // Another process works in it, or deletes it at this moment.
        }
    }

    private static void DeleteFolder(string folder)
    {
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
