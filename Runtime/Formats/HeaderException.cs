namespace PipelineDsl.Runtime.Formats;

/// <summary>A rule of the format that a file breaks; the reader adds file and cure.</summary>
internal sealed class HeaderException(string message) : Exception(message);
