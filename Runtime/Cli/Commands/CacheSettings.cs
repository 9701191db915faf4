using System.ComponentModel;
using PipelineDsl.Runtime.Engine;
using Spectre.Console.Cli;

namespace PipelineDsl.Cli.Commands;

/// <summary>What the commands of the cache share.</summary>
internal class CacheSettings : OutputSettings
{
    /// <summary>The cache's folder.</summary>
    [CommandOption("--cache <FOLDER>")]
    [Description("A project's PipelineDslCacheDirectory; without it, the user's own cache")]
    public string Folder { get; set; } = UserCache.Folder;

    /// <summary>What lies there.</summary>
    public StoreInventory Inventory => new(Folder);
}
