using System.Text.Json;
using System.Text.Json.Serialization;
using PipelineDsl.Cli.Projects;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Report;
using Spectre.Console;

namespace PipelineDsl.Cli;

/// <summary>Where a command writes: tables, colours and bars on a terminal, plain lines everywhere else.</summary>
/// <param name="output">Results go here.</param>
/// <param name="error">Mistakes and progress go here.</param>
/// <param name="rich">The terminal that <paramref name="output"/> is; null when it is a file or a pipe, or colours are not wanted.</param>
/// <param name="richError">The same of <paramref name="error"/>.</param>
/// <param name="asksQuestions">Whether somebody is there to answer.</param>
internal sealed class Terminal(TextWriter output, TextWriter error, IAnsiConsole? rich = null, IAnsiConsole? richError = null, bool asksQuestions = false)
{
    private const int PlainWidth = 120;

    /// <summary>What stands beside the words of a build's bars: spinner, bar, time and the space between.</summary>
    private const int BesideWords = 2 + BarWidth + 9 + 3;
    private const int BarWidth = 20;
    private const int FewestWords = 20;

    private static readonly JsonSerializerOptions Options = new(JsonLayout.Options)
    {
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
    };

    /// <summary>Whether somebody is there to answer questions.</summary>
    public bool AsksQuestions => asksQuestions && rich is not null;

    /// <summary>Whether tables are drawn, in which long cells are broken.</summary>
    public bool DrawsTables => rich is not null;

    /// <summary>What help is written to.</summary>
    public IAnsiConsole HelpConsole => rich ?? Plain(output);

    /// <summary>The streams of this process.</summary>
    public static Terminal OfProcess()
    {
        bool colours = Environment.GetEnvironmentVariable("NO_COLOR") is not { Length: > 0 } && Environment.GetEnvironmentVariable("TERM") != "dumb";
        return new(
            Console.Out,
            Console.Error,
            colours && !Console.IsOutputRedirected ? AnsiConsole.Console : null,
            colours && !Console.IsErrorRedirected ? AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) }) : null,
            !Console.IsInputRedirected);
    }

    /// <summary>A line of the result.</summary>
    /// <param name="text">The words.</param>
    /// <param name="style">A style for terminals.</param>
    public void Line(string text = "", string? style = null)
    {
        if (rich is null || style is null)
        {
            output.WriteLine(text);
        }
        else
        {
            rich.Write(new UnbrokenLine(text, Style.Parse(style)));
        }
    }

    /// <summary>A table.</summary>
    /// <param name="head">The columns' names; those of numbers begin with <c>&gt;</c>.</param>
    /// <param name="rows">As many cells a row.</param>
    public void Table(IReadOnlyList<string> head, IReadOnlyList<IReadOnlyList<Cell>> rows)
    {
        if (rich is null)
        {
            foreach (string line in TextTable.Lines(head, [.. rows.Select(row => (IReadOnlyList<string>)[.. row.Select(cell => cell.Text)])]))
            {
                output.WriteLine(line);
            }

            return;
        }

        var table = new Table { Border = TableBorder.Rounded };
        foreach (string name in head)
        {
            var column = new TableColumn(new Spectre.Console.Markup(new Cell(name.TrimStart('>'), "bold").Markup));
            table.AddColumn(name.StartsWith('>') ? column.RightAligned().NoWrap() : column);
        }

        foreach (var row in rows)
        {
            table.AddRow([.. row.Select(cell => cell.Markup)]);
        }

        rich.Write(table);
    }

    /// <summary>The whole result as one document.</summary>
    public void Json<T>(T document) => output.WriteLine(JsonSerializer.Serialize(document, Options));

    /// <summary>The whole result, which is JSON already.</summary>
    public void Json(string document) => output.WriteLine(document.TrimEnd());

    /// <summary>Something wrong, in the form that MSBuild and editors know.</summary>
    public void Report(RecipeDiagnostic diagnostic) => ReportLine(diagnostic.ToString().ReplaceLineEndings(" "), diagnostic.Severity);

    /// <summary>Something wrong that is in that form already.</summary>
    public void ReportLine(string line, Severity severity)
    {
        if (richError is null)
        {
            error.WriteLine(line);
        }
        else
        {
            richError.Write(new UnbrokenLine(line, Style.Parse(severity == Severity.Error ? "red" : severity == Severity.Warning ? "yellow" : "default")));
        }
    }

    /// <summary>A line on the error stream that is no diagnostic.</summary>
    public void Complain(string text) => error.WriteLine(text);

    /// <summary>Does something long; a bar with the time to go is drawn meanwhile, on the error stream, so that results stay clean.</summary>
    /// <param name="what">What is done.</param>
    /// <param name="total">How much there is to do.</param>
    /// <param name="work">Gets a function that takes how much is newly done.</param>
    public T Track<T>(string what, long total, Func<Action<long>, T> work)
    {
        if (richError is null || total == 0)
        {
            return work(_ => { });
        }

        return richError.Progress().AutoClear(true)
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .Start(context =>
            {
                var task = context.AddTask(what.EscapeMarkup(), maxValue: total);
                return work(done => task.Increment(done));
            });
    }

    /// <summary>Follows a build: a bar a recipe is drawn, or a line a step is written.</summary>
    /// <param name="what">What is done.</param>
    /// <param name="quiet">Whether steps are not written where nothing can be drawn, because the result is for a program.</param>
    /// <param name="work">Gets a function that takes the newest step.</param>
    public async Task<T> Follow<T>(string what, bool quiet, Func<Action<BuildProgress>, Task<T>> work)
    {
        if (richError is null)
        {
            return await work(step =>
            {
                if (!quiet)
                {
                    output.WriteLine($"{step.Recipe}: {step.Text}");
                }
            });
        }

        return await richError.Progress().AutoClear(true)
            .Columns(new SpinnerColumn(), new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn { Width = BarWidth }, new ElapsedTimeColumn())
            .StartAsync(async context =>
            {
                int width = Math.Max(FewestWords, richError.Profile.Width - BesideWords);
                var bars = new Dictionary<string, ProgressTask>(StringComparer.Ordinal);
                var whole = context.AddTask(what.EscapeMarkup());
                whole.IsIndeterminate = true;
                return await work(step =>
                {
                    if (!bars.TryGetValue(step.Recipe, out var bar))
                    {
                        bars[step.Recipe] = bar = context.AddTask(step.Recipe.EscapeMarkup());
                    }

                    bar.Description = Cut($"{step.Recipe}: {step.Text}", width).EscapeMarkup();
                    bar.IsIndeterminate = step.Total is null or 0;
                    bar.MaxValue = Math.Max(1, step.Total ?? 1);
                    bar.Value = step.Done ?? 0;
                });
            });
    }

    /// <summary>Asks for one of several things.</summary>
    public T Choose<T>(string question, IReadOnlyList<T> choices, Func<T, string> name)
        where T : notnull =>
        rich!.Prompt(new SelectionPrompt<T> { Title = question.EscapeMarkup(), Converter = choice => name(choice).EscapeMarkup() }.AddChoices(choices));

    /// <summary>A line that broke would break the bars beside it.</summary>
    private static string Cut(string text, int width) => text.Length <= width ? text : text[..(width - 1)] + "…";

    private static IAnsiConsole Plain(TextWriter writer)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, ColorSystem = ColorSystemSupport.NoColors, Interactive = InteractionSupport.No, Out = new AnsiConsoleOutput(writer) });
        console.Profile.Width = PlainWidth;
        return console;
    }
}
