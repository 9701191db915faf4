using PipelineDsl.Cli;

using var cancellation = new CancellationTokenSource();
Console.CancelKeyPress += (_, signal) =>
{
    signal.Cancel = true;
    cancellation.Cancel();
};
return await CommandLine.Run(args, Terminal.OfProcess(), cancellation.Token);
