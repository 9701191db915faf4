namespace PipelineDsl.Cli;

/// <summary>What a command tells its caller.</summary>
internal static class ExitCodes
{
    /// <summary>All is well.</summary>
    public const int Fine = 0;

    /// <summary>Something is wrong, and was said with a code on the error stream.</summary>
    public const int Diagnosed = 1;

    /// <summary>The command line itself is wrong.</summary>
    public const int Usage = 2;

    /// <summary>The user broke it off: as shells count the signal of Ctrl+C.</summary>
    public const int Cancelled = 130;
}
