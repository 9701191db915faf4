using System.Reflection;
using TorchSharp;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Which versions compute.</summary>
internal static class TensorLibrary
{
    /// <summary>TorchSharp and libtorch: <c>0.107.0/2.10.0</c>; asks libtorch, which must be loaded by then.</summary>
    public static string Version => field ??= $"{typeof(torch).Assembly.GetName().Version!.ToString(3)}/{torch.__version__}";

    /// <summary>This library.</summary>
    public static string Engine { get; } = typeof(TensorLibrary).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];
}
