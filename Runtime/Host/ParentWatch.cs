using System.Diagnostics;

namespace PipelineDsl.Host;

/// <summary>Cancels the work when the build that asked for it is gone: a killed build tells nobody.</summary>
internal static class ParentWatch
{
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(30);

    /// <summary>Watches a process from a background thread; 0 watches nothing.</summary>
    public static void Start(int processId, CancellationTokenSource cancellation)
    {
        if (processId == 0)
        {
            return;
        }

        new Thread(() =>
        {
            try
            {
                using var parent = Process.GetProcessById(processId);
                parent.WaitForExit();
            }
            catch (ArgumentException)
            {
                // It is gone already.
            }

            cancellation.Cancel();
            Thread.Sleep(Grace);
            Environment.Exit(2);
        })
        { IsBackground = true }.Start();
    }
}
