using Spectre.Console;

namespace PipelineDsl.Cli;

/// <summary>A cell of a table: words, and on a terminal their style.</summary>
/// <param name="Text">The words.</param>
/// <param name="Style">A style of Spectre.Console, such as <c>red</c>; null for none.</param>
internal readonly record struct Cell(string Text, string? Style = null)
{
    /// <summary>The cell as markup.</summary>
    public string Markup => Style is null ? Text.EscapeMarkup() : $"[{Style}]{Text.EscapeMarkup()}[/]";

    public static implicit operator Cell(string text) => new(text);
}
