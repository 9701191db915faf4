namespace PipelineDsl.Runtime.Engine;

/// <summary>Results that are tried out, in a folder of their own above a store; all but those that are kept are deleted in the end.</summary>
internal sealed class TrialStore : IDisposable
{
    private readonly ContentStore beneath;
    private readonly ScratchFolder? folder;

    /// <summary>Makes a folder inside another, and deletes those that killed processes left there.</summary>
    /// <param name="beneath">The store that is read as well, and that takes what is kept.</param>
    /// <param name="trials">The folder of all trials; null for none, where nothing is tried.</param>
    public TrialStore(ContentStore beneath, string? trials)
    {
        this.beneath = beneath;
        if (trials is null)
        {
            Store = beneath;
            return;
        }

        ScratchFolder.Clean(trials);
        folder = ScratchFolder.In(trials);
        Store = new(folder.Path, beneath);
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
    public void Dispose() => folder?.Dispose();
}
