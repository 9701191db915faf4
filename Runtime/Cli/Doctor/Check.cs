namespace PipelineDsl.Cli.Doctor;

/// <summary>How something is with the machine.</summary>
internal enum CheckState
{
    /// <summary>As it should be.</summary>
    Ok,

    /// <summary>Builds work, but not as well as they could.</summary>
    Warning,

    /// <summary>Builds do not work.</summary>
    Bad,
}

/// <summary>One thing that was looked at.</summary>
/// <param name="Name">What.</param>
/// <param name="State">How it is.</param>
/// <param name="Text">What was found.</param>
/// <param name="Cure">What to do, where something is to be done.</param>
/// <param name="Code">The code of what is bad.</param>
internal sealed record Check(string Name, CheckState State, string Text, string? Cure = null, string? Code = null);
