namespace PipelineDsl.Cli.Recipes;

/// <summary>What a first recipe is for.</summary>
internal enum Goal
{
    /// <summary>The fewest bytes.</summary>
    Size,

    /// <summary>The fastest answers.</summary>
    Speed,

    /// <summary>Something new learned.</summary>
    FineTune,
}
