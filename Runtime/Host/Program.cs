using PipelineDsl.Diagnostics;
using PipelineDsl.Host;
using PipelineDsl.Runtime.Engine;

const int Done = 0;
const int Diagnosed = 1;
const int Cancelled = 2;
const int Internal = 3;

using var cancellation = new CancellationTokenSource();
Console.CancelKeyPress += (_, signal) =>
{
    signal.Cancel = true;
    cancellation.Cancel();
};
try
{
    var request = Request.Read(args[0]);
    ParentWatch.Start(request.ParentProcess, cancellation);
    return Worker.Run(request, cancellation.Token) ? Done : Diagnosed;
}
catch (OperationCanceledException)
{
    return Cancelled;
}
catch (Exception failure)
{
    Console.Error.WriteLine(failure);
    Console.WriteLine(new RecipeDiagnostic(
        DiagnosticIds.InternalError,
        Severity.Error,
        $"the pipeline itself failed: {failure.GetType().Name}: {failure.Message.Split('\n')[0].Trim()}; build with -v:detailed for the whole story, and report it",
        SourceSpan.StartOf(args.Length > 0 ? args[0] : "PipelineDsl.Host")));
    return Internal;
}
