namespace PipelineDsl.Tasks;

/// <summary>The shim is needed and cannot be made; the message says what is missing and what to do.</summary>
public sealed class LibStdCppShimException(string message) : Exception(message);
