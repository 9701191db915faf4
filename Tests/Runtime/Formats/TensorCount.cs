using TorchSharp;

namespace PipelineDsl.Runtime.Tests.Formats;

/// <summary>Finds tensors that work leaves behind on the current thread.</summary>
internal static class TensorCount
{
    /// <summary>How many more tensors live after some work than before.</summary>
    public static long GrowthOf(Action work)
    {
        long before = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;
        work();
        return DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount - before;
    }
}
