using Spectre.Console;
using Spectre.Console.Rendering;

namespace PipelineDsl.Cli;

/// <summary>A line that stays one however narrow the terminal is, which shows the rest of it below: so it can be searched, copied and clicked on.</summary>
internal sealed class UnbrokenLine(string text, Style style) : Renderable
{
    /// <inheritdoc/>
    protected override IEnumerable<Segment> Render(RenderOptions options, int maxWidth) => [new(text, style), Segment.LineBreak];
}
