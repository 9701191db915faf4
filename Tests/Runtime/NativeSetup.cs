using System.Runtime.CompilerServices;
using PipelineDsl.Runtime.Native;
using TorchSharp;

namespace PipelineDsl.Runtime.Tests;

internal static class NativeSetup
{
    [ModuleInitializer]
    internal static void Load()
    {
        NativeLibraries.Load();
        torch.set_num_threads(1);
    }
}
