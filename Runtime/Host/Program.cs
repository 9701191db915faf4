using PipelineDsl.Host;

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
    return (int)Worker.Run(request, cancellation.Token);
}
catch (Exception failure)
{
    Console.Error.WriteLine(failure);
    Console.WriteLine(Worker.Unforeseen(failure, args.Length > 0 ? args[0] : "PipelineDsl.Host"));
    return (int)ExitCode.Internal;
}
