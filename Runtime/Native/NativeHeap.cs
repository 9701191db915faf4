using System.Runtime.InteropServices;

namespace PipelineDsl.Runtime.Native;

/// <summary>The allocator that the tensor library takes its memory from.</summary>
internal static partial class NativeHeap
{
    /// <summary>M_MMAP_THRESHOLD of glibc.</summary>
    private const int MapThreshold = -3;

    private const int MappedBytes = 1 << 20;

    /// <summary>Gives tensors back to the system as soon as they are disposed. Otherwise glibc keeps blocks below 32 MB for later, and often cannot use them again since they are asked for with an alignment.</summary>
    /// <remarks>Takes time for every such tensor, so it is for runs whose memory is limited. Other systems do as they do.</remarks>
    /// <returns>Whether the allocator is one that can be told.</returns>
    public static bool ReturnFreedMemory()
    {
        try
        {
            return OperatingSystem.IsLinux() && SetOption(MapThreshold, MappedBytes) == 1;
        }
        catch (Exception failure) when (failure is EntryPointNotFoundException or DllNotFoundException)
        {
            // Another C library than glibc.
            return false;
        }
    }

    [LibraryImport("libc", EntryPoint = "mallopt")]
    private static partial int SetOption(int parameter, int value);
}
